// Goal: users set what the lists allow, and each name there is one the library knows.
// Method: every listed name is offered to the library; what must never be offered is looked up.
#include "bridge/property.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace anomaly::bridge {
namespace {

TEST(Property, EveryListedNameIsOneThatTheLibraryKnows) {
    int32_t count = 0;
    for (; option_name(count) != nullptr; count++) {
        const char* name = option_name(count);
        EXPECT_NE(option_class(name), OptionClass::kUnknown) << name;
        const char* property = option_property(name);
        ASSERT_NE(property, nullptr) << name;
        std::string dotted = name;
        std::replace(dotted.begin(), dotted.end(), '_', '.');
        EXPECT_EQ(property, dotted);
        // A value of nonsense is refused for its value, never for the name.
        const Status status = validate_property(property, "\x01nonsense");
        EXPECT_EQ(std::string(status.text).find("No such configuration property"),
                  std::string::npos)
            << status.text;
    }
    EXPECT_GT(count, 40);
}

TEST(Property, SecretsBelongToTheUserMapping) {
    for (const char* name : {"sasl_username", "sasl_password", "ssl_key_pem", "ssl_key_password"})
        EXPECT_EQ(option_class(name), OptionClass::kUserMapping) << name;
    EXPECT_EQ(option_class("bootstrap_servers"), OptionClass::kServer);
    EXPECT_EQ(option_class("ssl_ca_location"), OptionClass::kServerPrivileged);
}

TEST(Property, WhatReadsOrRunsFilesIsNotForUsers) {
    for (const char* name :
         {"ssl_key_location", "ssl_certificate_location", "ssl_keystore_location",
          "ssl_engine_location", "plugin_library_paths", "sasl_kerberos_kinit_cmd", "debug",
          "auto_offset_reset", "enable_auto_commit", "bootstrap.servers", ""})
        EXPECT_EQ(option_class(name), OptionClass::kUnknown) << name;
    EXPECT_EQ(option_property("debug"), nullptr);
    EXPECT_EQ(option_name(-1), nullptr);
}

TEST(Property, AWrongValueIsRefusedWithTheLibrarysWords) {
    EXPECT_TRUE(validate_property("security.protocol", "plaintext").ok());
    const Status status = validate_property("security.protocol", "carrier pigeon");
    EXPECT_EQ(status.code, Code::kInvalidOption);
    EXPECT_NE(std::string(status.text).find("security.protocol"), std::string::npos);
}

}  // namespace
}  // namespace anomaly::bridge

// No exception leaves the bridge: every function of it, and every thread of it, runs through guard,
// the one place of the project that catches everything.
//
// Included below the wall only.
#pragma once

#include <cstdio>
#include <exception>
#include <new>

#include "bridge/status.h"
#include "kafka/client.h"

namespace anomaly::bridge {

inline Status fail(Code code, const char* text) noexcept {
    Status status;
    status.code = code;
    std::snprintf(status.text, sizeof status.text, "%s", text);
    return status;
}

template <class F>
Status guard(F&& body) noexcept {
    try {
        body();
        return {};
    } catch (const std::bad_alloc&) {
        return fail(Code::kOutOfMemory, "out of memory");
    } catch (const kafka::PropertyError& error) {
        return fail(Code::kInvalidOption, error.what());
    } catch (const kafka::ClientError& error) {
        return fail(Code::kBroker, error.what());
    } catch (const std::exception& error) {
        return fail(Code::kInternal, error.what());
    } catch (...) {
        return fail(Code::kInternal, "an exception of unknown type");
    }
}

}  // namespace anomaly::bridge

// The one place where exceptions end: the body of every bridge function, and of every thread of it,
// runs under it, so that none can reach PostgreSQL's frames. The text is copied out; nothing is
// raised here. Included below the wall only.
#pragma once

#include <cstdio>
#include <exception>
#include <new>
#include <type_traits>

#include "bridge/status.h"
#include "kafka/client.h"

namespace anomaly::bridge {

inline Status failed(Code code, const char* text) noexcept {
    Status status;
    status.code = code;
    std::snprintf(status.text, sizeof status.text, "%s", text);
    return status;
}

// body returns a Status, or nothing where only an exception can tell of a failure.
template <class Body>
Status guard(Body&& body) noexcept {
    try {
        if constexpr (std::is_void_v<decltype(body())>) {
            body();
            return {};
        } else {
            return body();
        }
    } catch (const std::bad_alloc&) {
        return failed(Code::kOutOfMemory, "out of memory");
    } catch (const kafka::PropertyError& error) {
        return failed(Code::kInvalidOption, error.what());
    } catch (const kafka::ClientError& error) {
        return failed(Code::kBroker, error.what());
    } catch (const std::exception& error) {
        return failed(Code::kInternal, error.what());
    } catch (...) {
        return failed(Code::kInternal, "an exception of unknown kind");
    }
}

}  // namespace anomaly::bridge

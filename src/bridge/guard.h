// The one place where exceptions end: every bridge function's body runs under it, so that none can
// reach PostgreSQL's frames. The text is copied out; nothing is raised here.
#pragma once

#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "bridge/status.h"

namespace anomaly::bridge {

inline Status failed(Code code, const char* text) noexcept {
    Status status;
    status.code = code;
    std::snprintf(status.text, sizeof status.text, "%s", text);
    return status;
}

// body returns a Status.
template <class Body>
Status guard(Body&& body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return failed(Code::kOutOfMemory, "out of memory");
    } catch (const std::exception& error) {
        return failed(Code::kInternal, error.what());
    } catch (...) {
        return failed(Code::kInternal, "an exception of unknown kind");
    }
}

}  // namespace anomaly::bridge

// The thread sanitizer knows POSIX threads only, and librdkafka uses those of C11, whose threads
// crash under it. In a build with it, these take their place for the whole test program.
#if defined(__SANITIZE_THREAD__)

#include <pthread.h>
#include <threads.h>

#include <cerrno>
#include <cstdint>
#include <memory>

namespace {

struct Body {
    thrd_start_t function;
    void* argument;
};

void* run(void* raw) {
    const std::unique_ptr<Body> body(static_cast<Body*>(raw));
    return reinterpret_cast<void*>(static_cast<intptr_t>(body->function(body->argument)));
}

pthread_mutex_t* posix(mtx_t* mutex) {
    static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t));
    return reinterpret_cast<pthread_mutex_t*>(mutex);
}

pthread_cond_t* posix(cnd_t* condition) {
    static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t));
    return reinterpret_cast<pthread_cond_t*>(condition);
}

int outcome(int error) {
    if (error == ETIMEDOUT) return thrd_timedout;
    return error == 0 ? thrd_success : thrd_error;
}

}  // namespace

// librdkafka is not instrumented: what it does inside cannot be judged.
extern "C" const char* __tsan_default_suppressions() {
    return "race:librdkafka.so\nmutex:librdkafka.so\nthread:librdkafka.so\n";
}

extern "C" int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
    auto body = std::make_unique<Body>(Body{function, argument});
    const int error = pthread_create(thread, nullptr, run, body.get());
    if (error == 0) (void)body.release();
    return outcome(error);
}

extern "C" int thrd_join(thrd_t thread, int* result) {
    void* returned = nullptr;
    const int error = pthread_join(thread, &returned);
    if (result != nullptr) *result = static_cast<int>(reinterpret_cast<intptr_t>(returned));
    return outcome(error);
}

extern "C" int mtx_init(mtx_t* mutex, int type) noexcept {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if ((type & mtx_recursive) != 0)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    return outcome(pthread_mutex_init(posix(mutex), &attributes));
}

extern "C" int mtx_lock(mtx_t* mutex) {
    return outcome(pthread_mutex_lock(posix(mutex)));
}
extern "C" int mtx_unlock(mtx_t* mutex) noexcept {
    return outcome(pthread_mutex_unlock(posix(mutex)));
}
extern "C" void mtx_destroy(mtx_t* mutex) noexcept {
    pthread_mutex_destroy(posix(mutex));
}

extern "C" int cnd_init(cnd_t* condition) noexcept {
    return outcome(pthread_cond_init(posix(condition), nullptr));
}
extern "C" int cnd_signal(cnd_t* condition) noexcept {
    return outcome(pthread_cond_signal(posix(condition)));
}
extern "C" int cnd_broadcast(cnd_t* condition) noexcept {
    return outcome(pthread_cond_broadcast(posix(condition)));
}
extern "C" int cnd_wait(cnd_t* condition, mtx_t* mutex) {
    return outcome(pthread_cond_wait(posix(condition), posix(mutex)));
}
extern "C" int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
    return outcome(pthread_cond_timedwait(posix(condition), posix(mutex), until));
}
extern "C" void cnd_destroy(cnd_t* condition) noexcept {
    pthread_cond_destroy(posix(condition));
}

#endif

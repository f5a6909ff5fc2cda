// side: pg
// refused: exception handling disabled
int answer(int question) {
#ifdef VIOLATION
    try {
        return question / 2;
    } catch (...) {
    }
#endif
    return question + 1;
}

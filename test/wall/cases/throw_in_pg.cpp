// side: pg
// refused: exception handling disabled
int answer(int question) {
#ifdef VIOLATION
    if (question < 0) throw question;
#endif
    return question + 1;
}

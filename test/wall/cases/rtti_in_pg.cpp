// side: pg
// refused: -fno-rtti
struct Question {
    virtual int answer() const { return 1; }
};

struct Hard : Question {
    int answer() const override { return 2; }
};

const Hard* hard(const Question* question) {
#ifdef VIOLATION
    return dynamic_cast<const Hard*>(question);
#else
    return static_cast<const Hard*>(question);
#endif
}

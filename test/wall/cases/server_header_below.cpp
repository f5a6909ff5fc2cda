// side: below
// refused: postgres.h: No such file or directory
#ifdef VIOLATION
#include "postgres.h"
#endif
#include "core/type.h"

int answer(int question) {
    return question + 1;
}

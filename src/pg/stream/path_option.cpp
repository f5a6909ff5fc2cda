#include "pg/stream/path_option.h"

#include "pg/stream/options.h"

namespace anomaly::pg {

namespace {

constexpr char kPathHint[] = "Write it as $.name or $.outer.\"inner name\".";
constexpr char kRowsHint[] = "Write it as $[*], $.name[*] or $.outer.\"inner name\"[*].";

struct Steps {
    const char* option;
    const char* text;
    const char* hint;
    const char* at;
    const char** names;  // NULL: a step [*]
    int32 count;
};

[[noreturn]] void invalid_path(const Steps* steps, const char* hint) {
    invalid_option_value(steps->option, steps->text, hint);
}

const char* parse_quoted(Steps* steps) {
    char* name = static_cast<char*>(palloc(strlen(steps->at) + 1));
    char* out = name;
    for (steps->at++; *steps->at != '"'; steps->at++) {
        if (*steps->at == '\\' && (steps->at[1] == '"' || steps->at[1] == '\\')) steps->at++;
        if (*steps->at == '\0') invalid_path(steps, "A double quote is not closed.");
        *out++ = *steps->at;
    }
    steps->at++;
    *out = '\0';
    return name;
}

const char* parse_plain(Steps* steps) {
    const Size size = strcspn(steps->at, ".\"[]*?@$ ");
    if (size == 0) invalid_path(steps, steps->hint);
    const char* name = pnstrdup(steps->at, size);
    steps->at += size;
    return name;
}

// What follows the $ or @.
Steps parse_steps(const char* option, const char* text, const char* hint, bool with_elements) {
    Steps steps = {option, text, hint, text + 1, NULL, 0};
    steps.names = static_cast<const char**>(palloc(sizeof(char*) * (strlen(text) + 1)));
    while (*steps.at != '\0') {
        const char* name = NULL;
        if (with_elements && strncmp(steps.at, "[*]", 3) == 0) {
            steps.at += 3;
        } else if (*steps.at == '.') {
            steps.at++;
            name = *steps.at == '"' ? parse_quoted(&steps) : parse_plain(&steps);
        } else {
            invalid_path(&steps, hint);
        }
        steps.names[steps.count++] = name;
    }
    return steps;
}

const char* jsonpath_of(const Steps* steps) {
    StringInfoData path;
    initStringInfo(&path);
    appendStringInfoChar(&path, '$');
    for (int32 i = 0; i < steps->count; i++) {
        if (steps->names[i] == NULL) {
            appendStringInfoString(&path, "[*]");
        } else {
            appendStringInfoChar(&path, '.');
            escape_json(&path, steps->names[i]);
        }
    }
    return path.data;
}

}  // namespace

FieldPath parse_field_path(const char* text) {
    Steps steps = {"path", text, kPathHint, text, NULL, 0};
    if (text[0] != '$' && text[0] != '@') invalid_path(&steps, kPathHint);
    steps = parse_steps("path", text, kPathHint, false);
    return {steps.names, steps.count, text[0] == '@'};
}

RowsPath parse_rows_path(const char* text) {
    Steps steps = {"rows", text, kRowsHint, text, NULL, 0};
    if (text[0] != '$') invalid_path(&steps, kRowsHint);
    steps = parse_steps("rows", text, kRowsHint, true);
    int32 first_element = 0;
    while (first_element < steps.count && steps.names[first_element] != NULL) first_element++;
    if (first_element == steps.count) invalid_path(&steps, kRowsHint);
    return {steps.names, first_element, first_element == steps.count - 1, jsonpath_of(&steps)};
}

}  // namespace anomaly::pg

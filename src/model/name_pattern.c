/* Name patterns: see name_pattern.h. An expression becomes a program of steps whose jumps are relative, so that pieces of it
 * can be copied (repetition) and moved (alternatives); the matcher keeps the set of steps that are alive at a character. */
#include "model/name_pattern.h"

#include <string.h>

#include "base/error.h"

enum { MAX_SETS = 32, MAX_DEPTH = 24, MAX_AHEAD = 2, MAX_REPEAT = 1000 };

typedef enum { CHAR, ANY, SET, SPLIT, JUMP, BEGIN, END, EDGE, NO_EDGE, AHEAD, NOT_AHEAD, MATCH } op;

typedef struct {
    op op;
    int a, b; /* CHAR: the byte; SET: which; SPLIT: both ways; JUMP: the way; AHEAD: steps of the inner program */
} step;

typedef struct {
    step code[EXAONE_PATTERN_STEPS];
    int n;
    unsigned char sets[MAX_SETS][32]; /* bit per byte */
    int n_sets;
} program;

typedef struct {
    const char *p;
    program *out;
    const char *fault; /* what is wrong */
    int depth, ahead;
    step copy[EXAONE_PATTERN_STEPS];
} parser;

static bool fail(parser *ps, const char *fault) {
    ps->fault = ps->fault ? ps->fault : fault;
    return false;
}

static bool emit(parser *ps, op o, int a, int b) {
    if (ps->out->n == EXAONE_PATTERN_STEPS) {
        return fail(ps, "it has too many steps");
    }
    ps->out->code[ps->out->n++] = (step){o, a, b};
    return true;
}

/* Puts a step before the piece that starts at `at`. */
static bool insert(parser *ps, int at, op o, int a, int b) {
    if (!emit(ps, o, a, b)) {
        return false;
    }
    step last = ps->out->code[ps->out->n - 1];
    memmove(&ps->out->code[at + 1], &ps->out->code[at], (size_t)(ps->out->n - 1 - at) * sizeof last);
    ps->out->code[at] = last;
    return true;
}

/* ---- parsing -------------------------------------------------------------------------------------------------------------
 */

static void add_to_set(unsigned char *set, int from, int to) {
    for (int c = from; c <= to; c++) {
        set[c / 8] |= (unsigned char)(1 << c % 8);
    }
}

/* \d \w \s and their opposites into a set; false: no such class. */
static bool add_class(unsigned char *set, char letter) {
    unsigned char own[32] = {0};
    switch (letter | 0x20) {
    case 'd':
        add_to_set(own, '0', '9');
        break;
    case 'w':
        add_to_set(own, '0', '9');
        add_to_set(own, 'A', 'Z');
        add_to_set(own, '_', '_');
        add_to_set(own, 'a', 'z');
        break;
    case 's':
        add_to_set(own, '\t', '\r');
        add_to_set(own, ' ', ' ');
        break;
    default:
        return false;
    }
    bool opposite = letter < 'a';
    for (int i = 0; i < 32; i++) {
        set[i] |= (unsigned char)(opposite ? ~own[i] : own[i]);
    }
    return true;
}

static bool is_word(int c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static unsigned char *new_set(parser *ps) {
    if (ps->out->n_sets == MAX_SETS) {
        fail(ps, "it has too many sets");
        return NULL;
    }
    unsigned char *set = ps->out->sets[ps->out->n_sets++];
    memset(set, 0, 32);
    return set;
}

/* A character of a set or the end of a range; -1: it was a class such as \d and is in the set already; -2: fault. */
static int set_member(parser *ps, unsigned char *set) {
    int c = (unsigned char)*ps->p++;
    if (c != '\\') {
        return c;
    }
    char letter = *ps->p;
    if (letter && add_class(set, letter)) {
        ps->p++;
        return -1;
    }
    if (!letter || is_word(letter)) {
        fail(ps, "it has an escape that is not understood");
        return -2;
    }
    ps->p++;
    return (unsigned char)letter;
}

static bool parse_set(parser *ps) {
    unsigned char *set = new_set(ps);
    if (!set) {
        return false;
    }
    bool opposite = *ps->p == '^';
    ps->p += opposite;
    for (bool first = true; *ps->p != ']' || first; first = false) {
        int from = *ps->p ? set_member(ps, set) : -2;
        if (from == -2) {
            return fail(ps, "a set has no end");
        }
        if (from < 0 || *ps->p != '-' || ps->p[1] == ']' || !ps->p[1]) {
            add_to_set(set, from < 0 ? 1 : from, from);
            continue;
        }
        ps->p++;
        int to = set_member(ps, set);
        if (to < from) {
            return fail(ps, "a set has a range that runs backwards");
        }
        add_to_set(set, from, to);
    }
    ps->p++;
    for (int i = 0; opposite && i < 32; i++) {
        set[i] = (unsigned char)~set[i];
    }
    return emit(ps, SET, (int)(set - ps->out->sets[0]) / 32, 0);
}

static bool parse_escape(parser *ps) {
    char letter = *ps->p;
    static const struct {
        char letter;
        op op;
    } PLACES[] = {{'b', EDGE}, {'B', NO_EDGE}, {'A', BEGIN}, {'Z', END}};
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
        if (letter == PLACES[i].letter) {
            ps->p++;
            return emit(ps, PLACES[i].op, 0, 0);
        }
    }
    if (letter && strchr("dDwWsS", letter)) {
        unsigned char *set = new_set(ps);
        ps->p++;
        return set && add_class(set, letter) && emit(ps, SET, (int)(set - ps->out->sets[0]) / 32, 0);
    }
    if (!letter || is_word(letter)) {
        return fail(ps, "it has an escape that is not understood");
    }
    ps->p++;
    return emit(ps, CHAR, (unsigned char)letter, 0);
}

static bool parse_alternatives(parser *ps);

static bool parse_ahead(parser *ps, op o) {
    int at = ps->out->n;
    if (++ps->ahead > MAX_AHEAD) {
        return fail(ps, "conditions are nested too deeply");
    }
    if (!emit(ps, o, 0, 0) || !parse_alternatives(ps) || !emit(ps, MATCH, 0, 0)) {
        return false;
    }
    ps->out->code[at].a = ps->out->n - at - 1;
    ps->ahead--;
    return true;
}

static bool parse_group(parser *ps) {
    bool good;
    if (++ps->depth > MAX_DEPTH) {
        return fail(ps, "groups are nested too deeply");
    }
    if (ps->p[0] != '?') {
        good = parse_alternatives(ps);
    } else if (ps->p[1] == ':') {
        ps->p += 2;
        good = parse_alternatives(ps);
    } else if (ps->p[1] == '=' || ps->p[1] == '!') {
        op o = ps->p[1] == '=' ? AHEAD : NOT_AHEAD;
        ps->p += 2;
        good = parse_ahead(ps, o);
    } else if (ps->p[1] == 'P' && ps->p[2] == '<') {
        ps->p += 3;
        size_t n = 0;
        while (is_word((unsigned char)ps->p[n])) {
            n++;
        }
        if (n == 0 || ps->p[n] != '>') {
            return fail(ps, "a group's name is not understood");
        }
        ps->p += n + 1;
        good = parse_alternatives(ps);
    } else {
        return fail(ps, "a group of a kind that is not understood");
    }
    ps->depth--;
    if (good && *ps->p != ')') {
        return fail(ps, "a group has no end");
    }
    ps->p++;
    return good;
}

static bool parse_atom(parser *ps) {
    int c = (unsigned char)*ps->p++;
    switch (c) {
    case '(':
        return parse_group(ps);
    case '[':
        return parse_set(ps);
    case '\\':
        return parse_escape(ps);
    case '.':
        return emit(ps, ANY, 0, 0);
    case '^':
        return emit(ps, BEGIN, 0, 0);
    case '$':
        return emit(ps, END, 0, 0);
    case '*':
    case '+':
    case '?':
        return fail(ps, "there is nothing to repeat");
    default:
        return emit(ps, CHAR, c, 0);
    }
}

/* The piece from `start` on, repeated: at least min times, at most max (-1: any number). */
static bool repeat(parser *ps, int start, int min, int max) {
    int n = ps->out->n - start;
    memcpy(ps->copy, &ps->out->code[start], (size_t)n * sizeof *ps->copy);
    ps->out->n = start;
    for (int i = 0; i < (max < 0 ? min + 1 : max); i++) {
        bool optional = i >= min;
        if (optional && !emit(ps, SPLIT, 1, max < 0 ? n + 2 : n + 1)) {
            return false;
        }
        if (n > EXAONE_PATTERN_STEPS - ps->out->n) {
            return fail(ps, "it has too many steps");
        }
        memcpy(&ps->out->code[ps->out->n], ps->copy, (size_t)n * sizeof *ps->copy);
        ps->out->n += n;
        if (optional && max < 0 && !emit(ps, JUMP, -n - 1, 0)) {
            return false;
        }
    }
    return true;
}

/* {m}, {m,}, {,n}, {m,n}: false when it is not one (then the brace stands for itself). */
static bool parse_bounds(const char **p, int *min, int *max) {
    const char *s = *p + 1;
    int bounds[2] = {0, -1};
    bool digits[2] = {false, false}, comma = false;
    for (int i = 0; i < 2; i++) {
        int value = 0;
        for (; *s >= '0' && *s <= '9'; s++) {
            value = value > MAX_REPEAT ? value : value * 10 + (*s - '0');
            digits[i] = true;
        }
        bounds[i] = digits[i] ? value : bounds[i];
        if (i == 0 && *s == ',') {
            comma = true;
            s++;
        } else {
            break;
        }
    }
    if (*s != '}' || (!digits[0] && !comma)) {
        return false;
    }
    *min = bounds[0];
    *max = comma ? bounds[1] : bounds[0];
    *p = s + 1;
    return true;
}

static bool parse_sequence(parser *ps) {
    while (*ps->p && *ps->p != '|' && *ps->p != ')') {
        int start = ps->out->n, min = 0, max = -1;
        if (!parse_atom(ps)) {
            return false;
        }
        char c = *ps->p;
        bool repeated = c == '*' || c == '+' || c == '?';
        if (repeated) {
            min = c == '+';
            max = c == '?' ? 1 : -1;
            ps->p++;
        } else if (c == '{') {
            repeated = parse_bounds(&ps->p, &min, &max);
        }
        if (!repeated) {
            continue;
        }
        if (min > MAX_REPEAT || max > MAX_REPEAT || (max >= 0 && max < min)) {
            return fail(ps, "a repetition has bounds that are too large or in the wrong order");
        }
        if (!repeat(ps, start, min, max)) {
            return false;
        }
        ps->p += *ps->p == '?'; /* lazy: the same names match */
        const char *behind = ps->p;
        if (*ps->p && (strchr("*+?", *ps->p) || (*ps->p == '{' && parse_bounds(&behind, &min, &max)))) {
            return fail(ps, "it repeats a repetition");
        }
    }
    return true;
}

static bool parse_alternatives(parser *ps) {
    int start = ps->out->n;
    if (!parse_sequence(ps)) {
        return false;
    }
    while (*ps->p == '|') { /* SPLIT first, JUMP over the second */
        ps->p++;
        int n = ps->out->n - start;
        if (!insert(ps, start, SPLIT, 1, n + 2) || !emit(ps, JUMP, 0, 0)) {
            return false;
        }
        int jump = ps->out->n - 1;
        if (!parse_sequence(ps)) {
            return false;
        }
        ps->out->code[jump].a = ps->out->n - jump;
    }
    return true;
}

static const char *compile(const char *expression, program *out) {
    parser ps = {.p = expression, .out = out};
    out->n = 0;
    out->n_sets = 0;
    if (parse_alternatives(&ps) && *ps.p) {
        fail(&ps, "a closing bracket has no opening one");
    }
    if (!ps.fault) {
        emit(&ps, MATCH, 0, 0);
    }
    return ps.fault;
}

/* ---- matching ------------------------------------------------------------------------------------------------------------
 */

static bool runs(const program *p, const char *s, size_t n, int pc, size_t at);

static bool holds(const step *t, const char *s, size_t n, size_t at) {
    bool before = at > 0 && is_word((unsigned char)s[at - 1]), after = at < n && is_word((unsigned char)s[at]);
    return t->op == BEGIN ? at == 0 : t->op == END ? at == n : (before != after) == (t->op == EDGE);
}

/* Marks what is reached from step pc without reading a character; true when the end is. */
static bool reach(const program *p, const char *s, size_t n, int pc, size_t at, bool *alive) {
    int stack[EXAONE_PATTERN_STEPS + 2], depth = 0;
    stack[depth++] = pc;
    while (depth > 0) {
        pc = stack[--depth];
        if (alive[pc]) {
            continue;
        }
        alive[pc] = true;
        const step *t = &p->code[pc];
        switch (t->op) {
        case MATCH:
            return true;
        case SPLIT:
            stack[depth++] = pc + t->b;
            stack[depth++] = pc + t->a;
            break;
        case JUMP:
            stack[depth++] = pc + t->a;
            break;
        case AHEAD:
        case NOT_AHEAD:
            if (runs(p, s, n, pc + 1, at) == (t->op == AHEAD)) {
                stack[depth++] = pc + 1 + t->a;
            }
            break;
        case BEGIN:
        case END:
        case EDGE:
        case NO_EDGE:
            if (holds(t, s, n, at)) {
                stack[depth++] = pc + 1;
            }
            break;
        default:
            break;
        }
    }
    return false;
}

static bool reads(const program *p, const step *t, char c) {
    unsigned char byte = (unsigned char)c;
    return t->op == CHAR  ? t->a == byte
           : t->op == ANY ? byte != '\n'
           : t->op == SET ? (p->sets[t->a][byte / 8] >> byte % 8 & 1) != 0
                          : false;
}

static bool runs(const program *p, const char *s, size_t n, int pc, size_t at) {
    bool alive[EXAONE_PATTERN_STEPS] = {false}, next[EXAONE_PATTERN_STEPS];
    if (reach(p, s, n, pc, at, alive)) {
        return true;
    }
    for (bool any = true; any && at < n; at++) {
        any = false;
        memset(next, 0, sizeof next);
        for (int i = 0; i < p->n; i++) {
            if (alive[i] && reads(p, &p->code[i], s[at])) {
                if (reach(p, s, n, i + 1, at + 1, next)) {
                    return true;
                }
                any = true;
            }
        }
        memcpy(alive, next, sizeof alive);
    }
    return false;
}

exaone_status exaone_name_pattern_check(const char *pattern, size_t *steps, exaone_error *err) {
    *steps = 0;
    if (strncmp(pattern, "re:", 3) != 0) {
        return EXAONE_OK;
    }
    program p;
    const char *fault = compile(pattern + 3, &p);
    if (fault) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "the pattern \"%.200s\" is not understood: %s", pattern, fault);
    }
    *steps = (size_t)p.n;
    return EXAONE_OK;
}

bool exaone_name_pattern_match(const char *pattern, const char *name) {
    if (strncmp(pattern, "re:", 3) != 0) {
        return strcmp(pattern, name) == 0;
    }
    program p;
    return !compile(pattern + 3, &p) && runs(&p, name, strlen(name), 0, 0);
}

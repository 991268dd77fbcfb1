/* What the parts of the test program share. All of it is C11 and C++17. */

#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenkit.h"

/* Ends the program where something does not hold, with the last error. */
#define CHECK(holds)                                                               \
    do {                                                                           \
        if (!(holds)) {                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n  last error: %s\n",        \
                    __FILE__, __LINE__, #holds, tk_last_error());                  \
            exit(1);                                                               \
        }                                                                          \
    } while (0)

/* A call that must answer so. */
#define ANSWERS(wanted, call)                                                      \
    do {                                                                           \
        tk_result answered = (call);                                               \
        if (answered != (wanted)) {                                                \
            fprintf(stderr, "%s:%d: %s answers %s, not %s\n  last error: %s\n",    \
                    __FILE__, __LINE__, #call, tk_result_name(answered),           \
                    tk_result_name(wanted), tk_last_error());                      \
            exit(1);                                                               \
        }                                                                          \
    } while (0)

/* A call that must succeed. */
#define OK(call) ANSWERS(TK_OK, call)

/* The last error of this thread must hold a text. */
#define TOLD(text) CHECK(strstr(tk_last_error(), text) != NULL)

/* A pointer to a T that is one byte off, within a buffer of ours. */
#define OFF_BY_ONE(T, buffer) ((T *)(void *)((buffer) + 1))

/* A time in the midst of an hour, of which 2800 seconds are left. */
#define NOW 1790000000u

/* A configuration with the secret of these tests; small, for there are many. */
tk_config small_config(void);
/* An engine by it. */
tk_engine *small_engine(void);
/* A request from 192.0.2.7 that shows a key. */
tk_request asking(const char *key);
/* A key of project p1, set up but for its name. */
tk_key key_of_p1(void);
/* Mints a key with an hourly limit into a place of TK_KEY_SPACE bytes. */
void mint(tk_engine *engine, uint64_t limit, char *key);
/* The id within a key, in a place of its own. */
tk_bytes id_of(const char *key);
/* A decision that would admit, to see that it is written over. */
tk_decision admitting(void);
/* Whether a decision is the one that denies because nothing was decided. */
int is_unusable(const tk_decision *decision);
/* Whether an answer is the 503 of a call that failed. */
int is_503(const tk_answer *answer);
/* The value of a header of an answer; NULL where it has none. */
const char *header_of(const tk_answer *answer, const char *name);

/* The parts. */
void test_texts(void);
void test_config(void);
void test_keys(void);
void test_sessions(void);
void test_requests(void);
void test_decisions(void);
void test_misuse(void);
void test_batches(void);
void test_answers(void);
void test_handles(void);
void test_fork(void);
void test_threads(void);
void test_ledger(const char *folder);
void test_store(const char *folder, const char *tokenkit);
void test_metrics(void);

#endif

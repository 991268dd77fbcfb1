/* Files that outlive an engine: the ledger, and the key store of tokenkit. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *path_in(const char *folder, const char *name, char *path, size_t len) {
    CHECK(snprintf(path, len, "%s/%s", folder, name) < (int)len);
    return path;
}

static tk_result decide(tk_engine *engine, const char *key, tk_decision *decision) {
    tk_request request = asking(key);
    *decision = admitting();
    return tk_decide(engine, &request, decision);
}

void test_ledger(const char *folder) {
    char path[512], key[TK_KEY_SPACE];
    tk_config config = small_config();
    config.ledger = tk_text(path_in(folder, "ledger", path, sizeof path));
    tk_engine *one = NULL, *two = NULL;
    OK(tk_engine_new(&config, &one));
    OK(tk_engine_new(&config, &two));
    mint(one, 6, key);
    tk_key same = key_of_p1();
    same.secret = tk_text(key);
    same.hourly_limit = 6;
    OK(tk_keys_put(two, &same, 1));

    /* One count for both, and for a child with an engine of its own. All in one
       hour, for the time is given. */
    tk_request request = asking(key);
    tk_decision decision;
    OK(tk_decide_at(one, &request, NOW, &decision));
    OK(tk_decide_at(two, &request, NOW, &decision));
    CHECK(decision.remaining == 4);
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        tk_engine *own = NULL;
        OK(tk_engine_new(&config, &own));
        OK(tk_keys_put(own, &same, 1));
        OK(tk_decide_at(own, &request, NOW, &decision));
        CHECK(decision.remaining == 3);
        ANSWERS(TK_ERR_FORKED, tk_decide_at(one, &request, NOW, &decision));
        /* Ends without any care, as a worker that is killed. */
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    OK(tk_decide_at(one, &request, NOW, &decision));
    CHECK(decision.remaining == 2);
    OK(tk_engine_free(one));
    OK(tk_engine_free(two));

    /* It outlives them; and is not taken for other settings. */
    OK(tk_engine_new(&config, &one));
    OK(tk_keys_put(one, &same, 1));
    OK(tk_decide_at(one, &request, NOW, &decision));
    CHECK(decision.remaining == 1);
    config.window_s = 24;
    two = NULL;
    ANSWERS(TK_ERR_LEDGER, tk_engine_new(&config, &two));
    CHECK(two == NULL);
    TOLD("ledger");
    OK(tk_engine_free(one));
}

/* Runs the command line of tokenkit on the store of a folder, and keeps the key
   that it prints, if it prints one. */
static void tokenkit(const char *program, const char *folder, const char *words, char *word,
                     size_t len) {
    char line[2048];
    CHECK(snprintf(line, sizeof line, "'%s' %s --data-dir '%s' 2>&1", program, words, folder) <
          (int)sizeof line);
    FILE *output = popen(line, "r");
    CHECK(output != NULL);
    char printed[4096] = "";
    size_t got = fread(printed, 1, sizeof printed - 1, output);
    printed[got] = 0;
    if (pclose(output) != 0) {
        fprintf(stderr, "%s fails:\n%s\n", line, printed);
        exit(1);
    }
    const char *key = strstr(printed, "tk_live_");
    if (key != NULL) {
        size_t length = strcspn(key, " \n");
        CHECK(length < len);
        memcpy(word, key, length);
        word[length] = 0;
    }
}

static double now_ms(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* How long it takes until a key is decided about so, in milliseconds. */
static double until(tk_engine *engine, const char *key, uint8_t wanted) {
    double begun = now_ms();
    for (;;) {
        tk_decision decision;
        OK(decide(engine, key, &decision));
        double waited = now_ms() - begun;
        if (decision.reason == wanted) {
            return waited;
        }
        CHECK(waited < 10000);
        struct timespec moment = {0, 1000000};
        nanosleep(&moment, NULL);
    }
}

void test_store(const char *folder, const char *program) {
    char store[512], secret[512], first[128] = "", second[128] = "",
         words[256], printed[128];
    tokenkit(program, folder, "key create --project p1", first, sizeof first);
    tk_config config = small_config();
    config.secret = tk_text(NULL);
    config.secret_file = tk_text(path_in(folder, "tokenkit.secret", secret, sizeof secret));
    path_in(folder, "tokenkit.db", store, sizeof store);
    /* Asking for a key before it has come is a guess, and guesses block. */
    config.exempt = tk_text("192.0.2.0/24");
    tk_engine *engine = NULL, *stranger = small_engine();
    OK(tk_engine_new(&config, &engine));

    /* What is no store. */
    ANSWERS(TK_ERR_NULL, tk_engine_follow(engine, tk_text(NULL)));
    ANSWERS(TK_ERR_UTF8, tk_engine_follow(engine, tk_text("\xff")));
    ANSWERS(TK_ERR_STORE, tk_engine_follow(engine, tk_text("/nowhere/tokenkit.db")));
    TOLD("/nowhere/tokenkit.db");
    ANSWERS(TK_ERR_STORE, tk_engine_follow(engine, config.secret_file));
    ANSWERS(TK_ERR_STORE, tk_engine_follow(stranger, tk_text(store)));
    TOLD("secret");
    ANSWERS(TK_ERR_STORE, tk_store_check(stranger, tk_text(store)));
    ANSWERS(TK_ERR_STORE, tk_store_check(engine, tk_text("/nowhere/tokenkit.db")));
    ANSWERS(TK_ERR_NULL, tk_store_check(engine, tk_text(NULL)));
    ANSWERS(TK_ERR_UTF8, tk_store_check(engine, tk_text("\xff")));
    OK(tk_store_check(engine, tk_text(store)));
    OK(tk_engine_free(stranger));

    /* All of it is there at once, then each change as it comes. */
    tk_decision decision;
    OK(decide(engine, first, &decision));
    CHECK(decision.reason == TK_REASON_UNKNOWN_KEY);
    OK(tk_engine_follow(engine, tk_text(store)));
    OK(decide(engine, first, &decision));
    CHECK(decision.status == 200);
    ANSWERS(TK_ERR_DUPLICATE, tk_engine_follow(engine, tk_text(store)));
    tokenkit(program, folder, "key create --project p1", second, sizeof second);
    until(engine, second, TK_REASON_ALLOWED);
    snprintf(words, sizeof words, "key revoke %.*s", TK_KEY_ID_LEN,
             (const char *)id_of(first).data);
    tokenkit(program, folder, words, printed, sizeof printed);
    printf("a revoked key is refused %.0f ms after the command's end\n",
           until(engine, first, TK_REASON_REVOKED_KEY));

    tk_metrics metrics;
    tk_metrics_init(&metrics);
    OK(tk_metrics_read(engine, &metrics));
    CHECK(metrics.follows == 1 && metrics.store_errors == 0 && metrics.store_lag_ms < 10000);

    /* A child may not follow while the parent does; its own engine decides. */
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        tk_engine *own = NULL;
        OK(tk_engine_new(&config, &own));
        ANSWERS(TK_ERR_FORKED, tk_engine_follow(own, tk_text(store)));
        ANSWERS(TK_ERR_FORKED, tk_store_check(own, tk_text(store)));
        TOLD("SQLite");
        OK(tk_engine_free(engine));
        ANSWERS(TK_ERR_FORKED, tk_engine_follow(own, tk_text(store)));
        OK(tk_engine_free(own));
        /* The following thread is the parent's, and what it held is here too
           without it: nobody is to look for leaks. */
        execlp("true", "true", (char *)NULL);
        _exit(1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);

    /* The store goes: what is known stays in force, and it is told. */
    char away[520];
    snprintf(away, sizeof away, "%s.away", store);
    CHECK(rename(store, away) == 0);
    char space[TK_SPACE];
    tk_str trouble = {"", 0};
    double begun = now_ms();
    while (trouble.len == 0) {
        OK(tk_engine_trouble(engine, space, sizeof space, &trouble));
        CHECK(now_ms() - begun < 10000);
    }
    CHECK(strstr(trouble.data, "tokenkit.db") != NULL);
    OK(tk_engine_trouble(engine, space, 8, &trouble));
    CHECK(trouble.len == 7);
    OK(decide(engine, second, &decision));
    CHECK(decision.status == 200);
    CHECK(rename(away, store) == 0);
    OK(tk_engine_free(engine));

    /* With nobody following before fork, the child does. */
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        tk_engine *own = NULL;
        OK(tk_engine_new(&config, &own));
        OK(tk_engine_follow(own, tk_text(store)));
        OK(decide(own, second, &decision));
        CHECK(decision.status == 200);
        OK(tk_engine_free(own));
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

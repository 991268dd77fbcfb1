/*
 * What the files of the module share. It decides nothing itself: that, and
 * what an answer looks like, is libtokenkit's.
 */

#ifndef _NGX_HTTP_TOKENKIT_H_INCLUDED_
#define _NGX_HTTP_TOKENKIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <tokenkit.h>


/* Of the http block: one engine for all of nginx. */
typedef struct {
    ngx_str_t    store;
    ngx_str_t    secret;
    ngx_str_t    ledger;

    /* Lists, their items separated by spaces. */
    ngx_str_t    prefixes;
    ngx_str_t    origins;
    ngx_str_t    exempt;

    ngx_str_t    realm;
    ngx_flag_t   legacy_headers;

    /* 0 where the library's own default stands. */
    uint32_t     preflight_max_age_s;
    uint32_t     threshold;
    uint32_t     window_s;
    uint32_t     block_s;
    uint32_t     max_addresses;
    uint32_t     max_keys;

    /* Of the worker: NULL in the master, and where none could be made. */
    tk_engine   *engine;
    /* The timer that looks after it. */
    ngx_event_t *look;
} tokenkit_main_conf_t;


/* Of a location. */
typedef struct {
    ngx_flag_t   enable;
    ngx_flag_t   needs_user;
    ngx_flag_t   forward_key;
    ngx_int_t    cost;
} tokenkit_loc_conf_t;


/* What was decided about a request, and by what. */
typedef struct {
    tk_request   request;
    tk_decision  decision;

    /* Texts for variables: within the decision, or constant. */
    ngx_str_t    reason;
    ngx_str_t    key;
    ngx_str_t    project;
    ngx_str_t    user;
} tokenkit_verdict_t;


/* What a preflight asks for beside its origin. */
typedef struct {
    ngx_str_t    method;
    ngx_str_t    headers;
} tokenkit_preflight_t;


/* The headers of a list that are left out of what goes on. */
typedef enum {
    /* What says who it is. */
    TOKENKIT_HIDE_IDENTITY = 0,
    /* And what some services take for the key. */
    TOKENKIT_HIDE_LOOKALIKES,
    /* And the key. */
    TOKENKIT_HIDE_KEY,
    /* The key and what is taken for it; who it is was told by us, and stays. */
    TOKENKIT_HIDE_KEY_ALONE
} tokenkit_hide_t;


/* A place in a list of headers. */
typedef struct {
    ngx_list_part_t  *part;
    ngx_uint_t        next;
} tokenkit_walk_t;


extern ngx_module_t   ngx_http_tokenkit_module;
extern ngx_command_t  tokenkit_commands[];


/* numbers.c */
char *tokenkit_conf_failures(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *tokenkit_conf_max_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *tokenkit_conf_max_age(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *tokenkit_conf_cost(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* walk.c */
void tokenkit_walk(tokenkit_walk_t *walk, ngx_list_part_t *part);
ngx_table_elt_t *tokenkit_next(tokenkit_walk_t *walk);

/* request.c */
ngx_int_t tokenkit_read_request(ngx_http_request_t *r, tk_request *request);
ngx_uint_t tokenkit_read_preflight(ngx_http_request_t *r,
    const tk_request *request, tokenkit_preflight_t *preflight);

/* verdict.c */
tokenkit_verdict_t *tokenkit_verdict(ngx_http_request_t *r);
tokenkit_verdict_t *tokenkit_verdict_new(ngx_http_request_t *r);
ngx_uint_t tokenkit_is_allowed(const tokenkit_verdict_t *verdict);

/* decide.c */
ngx_int_t tokenkit_decide(ngx_http_request_t *r, tokenkit_verdict_t *verdict,
    ngx_uint_t needs_user, ngx_uint_t cost);

/* identity.c */
ngx_int_t tokenkit_cleanse(ngx_http_request_t *r, tokenkit_hide_t hide);
ngx_int_t tokenkit_identify(ngx_http_request_t *r,
    tokenkit_verdict_t *verdict);

/* answer.c */
ngx_int_t tokenkit_refuse(ngx_http_request_t *r, tokenkit_verdict_t *verdict);
ngx_int_t tokenkit_answer_preflight(ngx_http_request_t *r,
    const tk_request *request, const tokenkit_preflight_t *preflight);
ngx_int_t tokenkit_answer_nobody(ngx_http_request_t *r);

/* header_filter.c */
void tokenkit_add_header_filter(void);

/* writer.c */
ngx_int_t tokenkit_put_all(ngx_http_request_t *r, const tk_answer *answer);
/* A copy of a header, at the end of a list; NULL without memory. Its hash is
 * left to the caller. */
ngx_table_elt_t *tokenkit_push(ngx_http_request_t *r, ngx_list_t *headers,
    const tk_header *header);

/* handler.c */
ngx_int_t tokenkit_handler(ngx_http_request_t *r);

/* variables.c */
ngx_int_t tokenkit_add_variables(ngx_conf_t *cf);

/* store.c */
char *tokenkit_find_store(ngx_conf_t *cf, tokenkit_main_conf_t *tkmcf);

/* trouble.c */
ngx_int_t tokenkit_watch(ngx_cycle_t *cycle, tokenkit_main_conf_t *tkmcf);
void tokenkit_unwatch(tokenkit_main_conf_t *tkmcf);

/* engine.c */
char *tokenkit_check(ngx_conf_t *cf, tokenkit_main_conf_t *tkmcf);
ngx_int_t tokenkit_init_process(ngx_cycle_t *cycle);
tk_engine *tokenkit_engine(ngx_http_request_t *r);


static ngx_inline tk_bytes
tokenkit_bytes(ngx_str_t text)
{
    tk_bytes  bytes;

    bytes.data = text.data;
    bytes.len = text.len;

    return bytes;
}


#endif /* _NGX_HTTP_TOKENKIT_H_INCLUDED_ */

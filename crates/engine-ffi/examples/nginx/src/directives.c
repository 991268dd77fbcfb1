/*
 * The directives: what they are called, where they stand, what they take.
 *
 * What the engine checks by itself (prefixes, origins, address blocks, ranges)
 * is left to it: see engine.c, which asks it while the configuration is read.
 */

#include "ngx_http_tokenkit.h"


static char *tokenkit_conf_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *tokenkit_conf_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *tokenkit_conf_list(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *tokenkit_conf_failures(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *tokenkit_conf_failure(ngx_conf_t *cf,
    tokenkit_main_conf_t *tkmcf, ngx_str_t *word);
static char *tokenkit_conf_max_keys(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *tokenkit_conf_max_age(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *tokenkit_conf_cost(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *tokenkit_conf_number(ngx_conf_t *cf, ngx_int_t least,
    uint32_t *number);


/* In seconds: no browser remembers for longer than a day. */
#define TOKENKIT_MAX_AGE  86400


ngx_command_t  tokenkit_commands[] = {

    { ngx_string("tokenkit_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      tokenkit_conf_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit_ledger"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      tokenkit_conf_path,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, ledger),
      NULL },

    { ngx_string("tokenkit_prefixes"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      tokenkit_conf_list,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, prefixes),
      NULL },

    { ngx_string("tokenkit_origins"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      tokenkit_conf_list,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, origins),
      NULL },

    { ngx_string("tokenkit_failures"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      tokenkit_conf_failures,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit_failures_exempt"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      tokenkit_conf_list,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, exempt),
      NULL },

    { ngx_string("tokenkit_max_keys"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      tokenkit_conf_max_keys,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit_realm"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, realm),
      NULL },

    { ngx_string("tokenkit_legacy_headers"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, legacy_headers),
      NULL },

    { ngx_string("tokenkit_preflight_max_age"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      tokenkit_conf_max_age,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(tokenkit_loc_conf_t, enable),
      NULL },

    { ngx_string("tokenkit_needs_user"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(tokenkit_loc_conf_t, needs_user),
      NULL },

    { ngx_string("tokenkit_cost"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      tokenkit_conf_cost,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit_forward_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(tokenkit_loc_conf_t, forward_key),
      NULL },

      ngx_null_command
};


/* tokenkit_store PATH [secret=PATH] */
static char *
tokenkit_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    tokenkit_main_conf_t  *tkmcf = conf;

    ngx_str_t  *value;

    (void) cmd;

    if (tkmcf->store.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    tkmcf->store = value[1];

    if (cf->args->nelts == 3) {
        if (ngx_strncmp(value[2].data, "secret=", sizeof("secret=") - 1) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\": \"secret=FILE\" is "
                               "all that may stand behind the store",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        tkmcf->secret.data = value[2].data + sizeof("secret=") - 1;
        tkmcf->secret.len = value[2].len - (sizeof("secret=") - 1);

        if (ngx_conf_full_name(cf->cycle, &tkmcf->secret, 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_conf_full_name(cf->cycle, &tkmcf->store, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* A relative path counts from the folder of the configuration, as elsewhere. */
static char *
tokenkit_conf_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char       *rv;
    ngx_str_t  *path;

    rv = ngx_conf_set_str_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    path = (ngx_str_t *) ((char *) conf + cmd->offset);

    if (path->len == 0) {
        return "wants a path";
    }

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* One text, as the library takes a list; a second directive adds to it. */
static char *
tokenkit_conf_list(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    size_t       len;
    u_char      *p;
    ngx_str_t   *list, *value;
    ngx_uint_t   i;

    list = (ngx_str_t *) ((char *) conf + cmd->offset);
    value = cf->args->elts;
    len = list->len;

    for (i = 1; i < cf->args->nelts; i++) {
        len += 1 + value[i].len;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    value[0] = *list;
    list->data = p;
    list->len = len;

    for (i = 0; i < cf->args->nelts; i++) {

        if (value[i].len) {
            p = ngx_cpymem(p, value[i].data, value[i].len);
        }

        if (i + 1 < cf->args->nelts) {
            *p++ = ' ';
        }
    }

    return NGX_CONF_OK;
}


/* tokenkit_failures [threshold=N] [window=TIME] [block=TIME] [addresses=N] */
static char *
tokenkit_conf_failures(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    (void) cmd;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        rv = tokenkit_conf_failure(cf, conf, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
tokenkit_conf_failure(ngx_conf_t *cf, tokenkit_main_conf_t *tkmcf,
    ngx_str_t *word)
{
    size_t       len;
    ngx_int_t    n;
    ngx_str_t    rest;
    ngx_uint_t   i;

    const struct {
        const char  *name;
        uint32_t    *place;
        ngx_uint_t   is_time;
    } known[] = {
        { "threshold=", &tkmcf->threshold, 0 },
        { "window=", &tkmcf->window_s, 1 },
        { "block=", &tkmcf->block_s, 1 },
        { "addresses=", &tkmcf->max_addresses, 0 },
    };

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {

        len = ngx_strlen(known[i].name);

        if (word->len < len
            || ngx_strncmp(word->data, known[i].name, len) != 0)
        {
            continue;
        }

        if (*known[i].place) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\"", word);
            return NGX_CONF_ERROR;
        }

        rest.data = word->data + len;
        rest.len = word->len - len;

        n = known[i].is_time ? ngx_parse_time(&rest, 1)
                             : ngx_atoi(rest.data, rest.len);

        /* 0 would stand for what the library takes by itself. */
        if (n < 1 || n > (ngx_int_t) NGX_MAX_UINT32_VALUE) {
            break;
        }

        *known[i].place = (uint32_t) n;

        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\": threshold=N, window=TIME, "
                       "block=TIME and addresses=N may stand here, each from 1",
                       word);

    return NGX_CONF_ERROR;
}


static char *
tokenkit_conf_max_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    tokenkit_main_conf_t  *tkmcf = conf;

    (void) cmd;

    if (tkmcf->max_keys) {
        return "is duplicate";
    }

    return tokenkit_conf_number(cf, 1, &tkmcf->max_keys);
}


static char *
tokenkit_conf_max_age(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    tokenkit_main_conf_t  *tkmcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    (void) cmd;

    if (tkmcf->preflight_max_age_s) {
        return "is duplicate";
    }

    value = cf->args->elts;
    n = ngx_parse_time(&value[1], 1);

    if (n < 1 || n > TOKENKIT_MAX_AGE) {
        return "wants a time from 1s to 1d";
    }

    tkmcf->preflight_max_age_s = (uint32_t) n;

    return NGX_CONF_OK;
}


static char *
tokenkit_conf_cost(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                 *rv;
    uint32_t              cost;
    tokenkit_loc_conf_t  *tklcf = conf;

    (void) cmd;

    if (tklcf->cost != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    rv = tokenkit_conf_number(cf, 0, &cost);

    if (rv == NGX_CONF_OK) {
        tklcf->cost = cost;
    }

    return rv;
}


/* A number that fits the engine's: 32 bits without a sign. */
static char *
tokenkit_conf_number(ngx_conf_t *cf, ngx_int_t least, uint32_t *number)
{
    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n < least || n > (ngx_int_t) NGX_MAX_UINT32_VALUE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\" in \"%V\": "
                           "one from %i to 4294967295 is wanted",
                           &value[1], &value[0], least);
        return NGX_CONF_ERROR;
    }

    *number = (uint32_t) n;

    return NGX_CONF_OK;
}

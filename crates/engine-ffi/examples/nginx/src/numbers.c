/*
 * The directives that take numbers and times. 0 is refused wherever it would
 * stand for what the library takes by itself.
 */

#include "ngx_http_tokenkit.h"


/* In seconds: no browser remembers for longer than a day. */
#define TOKENKIT_MAX_AGE  86400


static char *tokenkit_conf_failure(ngx_conf_t *cf,
    tokenkit_main_conf_t *tkmcf, ngx_str_t *word);
static char *tokenkit_conf_number(ngx_conf_t *cf, ngx_int_t least,
    uint32_t *number);


/* tokenkit_failures [threshold=N] [window=TIME] [block=TIME] [addresses=N] */
char *
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


char *
tokenkit_conf_max_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    tokenkit_main_conf_t  *tkmcf = conf;

    (void) cmd;

    if (tkmcf->max_keys) {
        return "is duplicate";
    }

    return tokenkit_conf_number(cf, 1, &tkmcf->max_keys);
}


char *
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


char *
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

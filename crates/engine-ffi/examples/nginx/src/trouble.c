/*
 * Tells in the error log when the store can no longer be followed, or the
 * ledger file was damaged: what is known stays in force meanwhile, so nobody
 * would notice otherwise.
 */

#include "ngx_http_tokenkit.h"


/* Between two looks, and how often what stays the same is told again. */
#define TOKENKIT_LOOK_MS      1000
#define TOKENKIT_REPEAT_LOOKS  60


typedef struct {
    ngx_event_t            event;
    tokenkit_main_conf_t  *tkmcf;
    ngx_uint_t             looks;
    /* What was told last; empty while all is well. */
    char                   told[TK_SPACE];
} tokenkit_watch_t;


static void tokenkit_look(ngx_event_t *event);
static void tokenkit_tell(tokenkit_watch_t *watch, const char *text);


ngx_int_t
tokenkit_watch(ngx_cycle_t *cycle, tokenkit_main_conf_t *tkmcf)
{
    tokenkit_watch_t  *watch;

    watch = ngx_pcalloc(cycle->pool, sizeof(tokenkit_watch_t));
    if (watch == NULL) {
        return NGX_ERROR;
    }

    watch->tkmcf = tkmcf;
    watch->event.handler = tokenkit_look;
    watch->event.data = watch;
    watch->event.log = cycle->log;
    /* A worker that leaves does not wait for it. */
    watch->event.cancelable = 1;

    ngx_add_timer(&watch->event, TOKENKIT_LOOK_MS);
    tkmcf->look = &watch->event;

    return NGX_OK;
}


void
tokenkit_unwatch(tokenkit_main_conf_t *tkmcf)
{
    if (tkmcf->look && tkmcf->look->timer_set) {
        ngx_del_timer(tkmcf->look);
    }
}


static void
tokenkit_look(ngx_event_t *event)
{
    char               space[TK_SPACE];
    tk_str             trouble;
    tokenkit_watch_t  *watch = event->data;

    if (tk_engine_trouble(watch->tkmcf->engine, space, TK_SPACE, &trouble)
        == TK_OK)
    {
        tokenkit_tell(watch, trouble.data);
    }

    if (!ngx_exiting) {
        ngx_add_timer(event, TOKENKIT_LOOK_MS);
    }
}


static void
tokenkit_tell(tokenkit_watch_t *watch, const char *text)
{
    if (ngx_strcmp(watch->told, text) == 0
        && (*text == '\0' || ++watch->looks < TOKENKIT_REPEAT_LOOKS))
    {
        return;
    }

    if (*text) {
        ngx_log_error(NGX_LOG_ERR, watch->event.log, 0, "tokenkit: %s", text);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, watch->event.log, 0,
                      "tokenkit: all is well again");
    }

    watch->looks = 0;
    ngx_cpystrn((u_char *) watch->told, (u_char *) text, TK_SPACE);
}

/*
 * A request as the library takes it: the headers that a decision rests on, and
 * who sent them.
 *
 * The address is that of the connection, which the realip module may have set.
 */

#include "ngx_http_tokenkit.h"


static void tokenkit_read_client(ngx_http_request_t *r, tk_request *request);
static ngx_str_t tokenkit_trimmed(ngx_str_t value);
static ngx_uint_t tokenkit_named(const ngx_table_elt_t *header,
    const char *name);
static ngx_int_t tokenkit_join(ngx_http_request_t *r, ngx_str_t *list,
    ngx_str_t value);


ngx_int_t
tokenkit_read_request(ngx_http_request_t *r, tk_request *request)
{
    ngx_str_t         value;
    ngx_table_elt_t  *header;
    tokenkit_walk_t   walk;

    tk_request_init(request);
    tokenkit_read_client(r, request);
    tokenkit_walk(&walk, &r->headers_in.headers.part);

    while ((header = tokenkit_next(&walk)) != NULL) {

        value = tokenkit_trimmed(header->value);

        if (tk_request_header(tokenkit_bytes(header->key),
                              tokenkit_bytes(value), request)
            != TK_OK)
        {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "tokenkit: %s", tk_last_error());
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
tokenkit_read_client(ngx_http_request_t *r, tk_request *request)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (r->connection->sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) r->connection->sockaddr;
        ngx_memcpy(request->client, &sin->sin_addr, 4);
        request->client_len = 4;
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) r->connection->sockaddr;
        ngx_memcpy(request->client, &sin6->sin6_addr, 16);
        request->client_len = 16;
        break;
#endif

    default:
        /* A unix socket's peer has none, unless the realip module knows it. */
        request->client_len = 0;
    }
}


/* Fetch standard: only a browser sends all three, and it sends no key. */
ngx_uint_t
tokenkit_read_preflight(ngx_http_request_t *r, const tk_request *request,
    tokenkit_preflight_t *preflight)
{
    ngx_uint_t        asks;
    ngx_table_elt_t  *header;
    tokenkit_walk_t   walk;

    if (r->method != NGX_HTTP_OPTIONS || request->origin.data == NULL) {
        return 0;
    }

    ngx_memzero(preflight, sizeof(tokenkit_preflight_t));
    asks = 0;
    tokenkit_walk(&walk, &r->headers_in.headers.part);

    while ((header = tokenkit_next(&walk)) != NULL) {

        if (tokenkit_named(header, "access-control-request-method")) {
            if (!asks) {
                preflight->method = tokenkit_trimmed(header->value);
                asks = 1;
            }

        } else if (tokenkit_named(header, "access-control-request-headers")
                   && tokenkit_join(r, &preflight->headers, header->value)
                      != NGX_OK)
        {
            /* What is not granted is not sent. */
            break;
        }
    }

    return asks;
}


/* The lines of a list make one list. */
static ngx_int_t
tokenkit_join(ngx_http_request_t *r, ngx_str_t *list, ngx_str_t value)
{
    u_char  *joined;

    if (list->data == NULL) {
        *list = value;
        return NGX_OK;
    }

    joined = ngx_pnalloc(r->pool, list->len + 1 + value.len);
    if (joined == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(joined, "%V,%V", list, &value);
    list->data = joined;
    list->len += 1 + value.len;

    return NGX_OK;
}


static ngx_uint_t
tokenkit_named(const ngx_table_elt_t *header, const char *name)
{
    return header->key.len == ngx_strlen(name)
           && ngx_strncasecmp(header->key.data, (u_char *) name,
                              header->key.len) == 0;
}


/* nginx strips spaces around values, but not tabs, which HTTP calls blank too. */
static ngx_str_t
tokenkit_trimmed(ngx_str_t value)
{
    if (value.data == NULL) {
        /* Sent and empty, which is not the same as not sent. */
        ngx_str_set(&value, "");
    }

    while (value.len && (value.data[0] == ' ' || value.data[0] == '\t')) {
        value.data++;
        value.len--;
    }

    while (value.len && (value.data[value.len - 1] == ' '
                         || value.data[value.len - 1] == '\t'))
    {
        value.len--;
    }

    return value;
}

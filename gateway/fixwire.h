/* A strategy written in C (or anything that can make C functions): what the gateway calls, and what it may call.
 *
 *     static const struct fixwire_api *fw;
 *     void init(const struct fixwire_api *api) { fw = api; }          // gateway.callback.api_address()
 *     void on_message(void *ctx, void *session, void *msg, uint64_t now_ns) { ... fw->order_new(session, &o, now_ns); }
 *
 * session and msg are lent for the call. Everything runs in the engine's thread; nothing here may block.
 */
#ifndef FIXWIRE_H
#define FIXWIRE_H
#include <stdint.h>

enum fixwire_verdict {
    FIXWIRE_SENT = 0, FIXWIRE_NOT_LOGGED_ON, FIXWIRE_WOULD_BLOCK, FIXWIRE_TOO_LONG, FIXWIRE_BAD_ORDER, FIXWIRE_RISK_QTY,
    FIXWIRE_RISK_NOTIONAL, FIXWIRE_RISK_RATE, FIXWIRE_RISK_KILLED, FIXWIRE_REFUSED,
    FIXWIRE_MALFORMED, FIXWIRE_STALE, FIXWIRE_DUPLICATE, FIXWIRE_TOO_MANY_OPEN, FIXWIRE_NOT_YOURS, FIXWIRE_NO_SESSION,
    FIXWIRE_RISK_PRICE, FIXWIRE_RISK_OPEN, FIXWIRE_NOT_ALLOWED
};

/* Texts are read before the call returns. Length 0 with a pointer: NUL-terminated. Zero the rest. */
typedef struct fixwire_order {
    uint64_t ClOrdID;               /* written in decimal; 0: the engine makes one and writes it here */
    uint64_t OrigClOrdID;           /* replace and cancel */
    const char *Symbol, *Account, *ClOrdID_text, *OrigClOrdID_text;
    uint32_t Symbol_n, Account_n, ClOrdID_n, OrigClOrdID_n;
    int64_t OrderQty;
    int64_t Price_e8;               /* 101.5 is 10150000000 */
    char Side, OrdType, TimeInForce, HandlInst;
    char Bypass;                    /* not 0: only the kill switch is asked, where the session allows that */
} fixwire_order;

/* An order of which ClOrdID, quantity and price are still to come. Yours, any memory; may be copied; good for any session. */
typedef struct fixwire_template { uint64_t of_the_gateway[128]; } fixwire_template;

typedef struct fixwire_api {
    uint32_t version;               /* 3; what is here stays where it is, more may follow */
    uint32_t order_size;            /* sizeof(fixwire_order), to be compared */
    int (*order_new)(void *session, fixwire_order *o, uint64_t now_ns);         /* -> fixwire_verdict */
    int (*order_replace)(void *session, fixwire_order *o, uint64_t now_ns);
    int (*order_cancel)(void *session, fixwire_order *o, uint64_t now_ns);
    /* a limit order for the day, all in one call; ClOrdID 0: made by the engine */
    int (*limit_order)(void *session, const char *symbol, uint32_t symbol_n, int side, int64_t qty, int64_t price_e8,
                       uint64_t ClOrdID, uint64_t now_ns);
    uint64_t (*msg_type)(const void *msg);                                      /* octets of MsgType, the first lowest */
    int (*msg_int)(const void *msg, uint32_t tag, int64_t *value);              /* 0: not there, or no integer */
    int (*msg_price_e8)(const void *msg, uint32_t tag, int64_t *value);
    const char *(*msg_text)(const void *msg, uint32_t tag, uint32_t *n);        /* NULL: not there; not terminated */
    void (*stop)(void *session);                                                /* begin the gateway's shutdown */
    /* since 2: of the last order sent here, which on_verdict will name; in a process of its own only, else 0 */
    uint64_t (*last_token)(const void *session);
    /* since 3: once and at leisure -> FIXWIRE_SENT when it is made, BAD_ORDER, TOO_LONG; texts are copied (64 octets each) */
    int (*order_prepare)(fixwire_template *t, const fixwire_order *o);
    /* order_new with the template's fields and these: the same octets, limits and verdicts, in less time */
    int (*order_new_from)(void *session, fixwire_template *t, uint64_t ClOrdID, int64_t qty, int64_t price_e8, uint64_t now_ns);
    int (*order_new_from_text)(void *session, fixwire_template *t, const char *ClOrdID, uint32_t n, int64_t qty,
                               int64_t price_e8, uint64_t now_ns);
    /* another application message; its body as tag=value<SOH> and so on, without header and trailer */
    int (*message_send)(void *session, const char *msg_type, const char *body, uint32_t n, uint64_t now_ns);
} fixwire_api;
#endif

/* A trader that can be told to call malloc for every message: what tests/test_no_allocation.py must catch. */
#include <stdlib.h>
#include "fixwire.h"

struct state { int64_t orders, warm_up, planted, sent, fills; void (*look)(void); };
static fixwire_template template;

static const fixwire_api *fw;
static void *(*volatile allocate)(size_t) = malloc;     /* through a pointer, or the pair is optimised away */

void init(const fixwire_api *api) { fw = api; }

void on_logon(void *ctx, void *session, uint64_t now_ns) {
    fixwire_order o = {.Symbol = "FIXW", .Side = '1', .OrdType = '2', .TimeInForce = '0', .HandlInst = '1'};
    if (fw->order_prepare(&template, &o) != FIXWIRE_SENT)
        fw->stop(session);
    ((struct state *)ctx)->sent++;
    fw->limit_order(session, "FIXW", 4, '1', 100, 9950000000, 0, now_ns);
}

void on_message(void *ctx, void *session, void *msg, uint64_t now_ns) {
    struct state *s = ctx;
    (void)msg;
    if (s->planted)
        free(allocate(64));
    s->fills++;
    if (s->fills == s->warm_up || s->fills == s->orders)
        s->look();
    if (s->sent == s->orders) {
        fw->stop(session);
        return;
    }
    s->sent++;
    if (s->sent % 2)
        fw->order_new_from(session, &template, 0, 100 + s->sent % 7, 9950000000 + s->sent, now_ns);
    else
        fw->limit_order(session, "FIXW", 4, '2', 100 + s->sent % 7, 9950000000 + s->sent, 0, now_ns);
}

/* The strategy of strategy_python.py in C.
 *
 *     cc -O2 -shared -fPIC -I $(python -c 'import gateway, os; print(os.path.dirname(gateway.__file__))') \
 *        -o libfollower.so strategy_c.c
 *
 *     lib = ctypes.CDLL("./libfollower.so")
 *     lib.init(ctypes.c_void_p(gateway.callback.api_address()))
 *     CallbackStrategy(ctypes.cast(lib.on_message, ctypes.c_void_p).value, keep=lib)
 */
#include <string.h>
#include "fixwire.h"

static const fixwire_api *fw;
static int64_t last_e8;

void init(const fixwire_api *api) { fw = api; last_e8 = 0; }

void on_message(void *ctx, void *session, void *msg, uint64_t now_ns) {
    fixwire_order o;
    int64_t price_e8, size;
    (void)ctx;
    if (fw->msg_type(msg) != 'W' || !fw->msg_price_e8(msg, 270, &price_e8) || !fw->msg_int(msg, 271, &size))
        return;
    if (last_e8) {
        memset(&o, 0, sizeof o);
        o.Symbol = fw->msg_text(msg, 55, &o.Symbol_n);
        o.Side = price_e8 < last_e8 ? '1' : '2';
        o.OrdType = '2';
        o.TimeInForce = '0';
        o.HandlInst = '1';
        o.OrderQty = size;
        o.Price_e8 = price_e8;
        fw->order_new(session, &o, now_ns);
    }
    last_e8 = price_e8;
}

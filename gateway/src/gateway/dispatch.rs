//! Which application messages are served, and what does it: one table for the session layer, which hands only those
//! on, and for the gateway.

/// What deals with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// NewOrderSingle.
    NewOrder,
    /// OrderCancelRequest.
    CancelOrder,
    /// OrderCancelReplaceRequest.
    ReplaceOrder,
    /// OrderStatusRequest.
    OrderStatus,
    /// ApplicationMessageRequest: a replay of drop copies.
    ReplayCopies,
}

/// All of them, the frequent ones first.
const ROUTES: &[(&[u8], Route)] = &[
    (b"D", Route::NewOrder),
    (b"F", Route::CancelOrder),
    (b"G", Route::ReplaceOrder),
    (b"H", Route::OrderStatus),
    (b"BW", Route::ReplayCopies),
];

/// What deals with messages of this type; `None` if they are not served.
#[inline]
pub(crate) fn route_of(message_type: &[u8]) -> Option<Route> {
    ROUTES.iter().find(|(name, _)| *name == message_type).map(|(_, route)| *route)
}

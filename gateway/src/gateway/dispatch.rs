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
    /// NewOrderList.
    NewList,
    /// ListCancelRequest.
    CancelList,
    /// ListExecute.
    ExecuteList,
    /// ListStatusRequest.
    ListStatus,
    /// OrderMassCancelRequest.
    MassCancel,
    /// OrderMassStatusRequest.
    MassStatus,
    /// RequestForPositions.
    Positions,
    /// CollateralInquiry.
    Collateral,
    /// UserRequest.
    User,
    /// Market data and reference data.
    Market,
    /// ApplicationMessageRequest: a replay of drop copies.
    ReplayCopies,
}

/// What deals with messages of this type; `None` if they are not served.
#[inline]
pub(crate) fn route_of(message_type: &[u8]) -> Option<Route> {
    Some(match message_type {
        b"D" => Route::NewOrder,
        b"F" => Route::CancelOrder,
        b"G" => Route::ReplaceOrder,
        b"H" => Route::OrderStatus,
        b"E" => Route::NewList,
        b"M" => Route::ListStatus,
        b"K" => Route::CancelList,
        b"L" => Route::ExecuteList,
        b"q" => Route::MassCancel,
        b"AF" => Route::MassStatus,
        b"AN" => Route::Positions,
        b"BB" => Route::Collateral,
        b"BE" => Route::User,
        b"V" | b"x" | b"c" | b"e" | b"g" => Route::Market,
        b"BW" => Route::ReplayCopies,
        _ => return None,
    })
}

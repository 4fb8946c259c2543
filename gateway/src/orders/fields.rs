//! The fields of an order, found in one pass over its message: most orders have none of those that a special one may
//! have, and looking for each of them would take longer than all the rest.

use crate::fix::{Message, tags};

macro_rules! order_fields {
    (plain { $($plain:ident = $plain_tag:ident,)+ } special { $($special:ident = $special_tag:ident,)+ }) => {
        /// Values by field.
        #[derive(Clone, Copy, Debug, Default)]
        pub(super) struct OrderFields<'m> {
            $(pub(super) $plain: Option<&'m [u8]>,)+
            $(pub(super) $special: Option<&'m [u8]>,)+
            /// Whether there is any field that a plain order does not have.
            pub(super) is_special: bool,
        }

        impl<'m> OrderFields<'m> {
            /// Finds them; the first of equal tags counts.
            pub(super) fn of(message: &Message<'m>) -> Self {
                let mut found = Self::default();
                for field in message.fields() {
                    match field.tag {
                        $(tags::$plain_tag if found.$plain.is_none() => {
                            found.$plain = Some(message.value(field));
                        })+
                        $(tags::$special_tag if found.$special.is_none() => {
                            found.$special = Some(message.value(field));
                            found.is_special = true;
                        })+
                        _ => {}
                    }
                }
                found
            }
        }
    };
}

order_fields! {
    plain {
        account = ACCOUNT,
        client_order_id = CL_ORD_ID,
        original_client_order_id = ORIG_CL_ORD_ID,
        sequence = MSG_SEQ_NUM,
        order_type = ORD_TYPE,
        price = PRICE,
        quantity = ORDER_QTY,
        self_trade_prevention = SELF_MATCH_PREVENTION_INSTRUCTION,
        side = SIDE,
        symbol = SYMBOL,
        time_in_force = TIME_IN_FORCE,
    }
    special {
        exec_inst = EXEC_INST,
        stop_price = STOP_PX,
        minimum = MIN_QTY,
        max_floor = MAX_FLOOR,
        expire_time = EXPIRE_TIME,
        expire_date = EXPIRE_DATE,
        budget = CASH_ORDER_QTY,
        offset = PEG_OFFSET_VALUE,
        offset_type = PEG_OFFSET_TYPE,
        peg_move = PEG_MOVE_TYPE,
        peg_limit = PEG_LIMIT_TYPE,
        peg_round = PEG_ROUND_DIRECTION,
        peg_scope = PEG_SCOPE,
        peg_price_type = PEG_PRICE_TYPE,
        secondary_display = SECONDARY_DISPLAY_QTY,
        display_when = DISPLAY_WHEN,
        display_method = DISPLAY_METHOD,
        display_low = DISPLAY_LOW_QTY,
        display_high = DISPLAY_HIGH_QTY,
        display_increment = DISPLAY_MIN_INCR,
        refresh = REFRESH_QTY,
        display = DISPLAY_QTY,
        trigger_type = TRIGGER_TYPE,
        trigger_action = TRIGGER_ACTION,
        trigger_price = TRIGGER_PRICE,
        trigger_price_type = TRIGGER_PRICE_TYPE,
        trigger_direction = TRIGGER_PRICE_DIRECTION,
        trigger_order_type = TRIGGER_ORDER_TYPE,
        post_only_slide = POST_ONLY_SLIDE,
        market_to_limit = MARKET_TO_LIMIT,
        own_prevention = SELF_TRADE_PREVENTION,
    }
}

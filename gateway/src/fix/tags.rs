//! Tag numbers, and what must be known of them to read a message at all.

macro_rules! tags {
    ($($name:ident = $number:literal,)+) => {
        $(#[doc = concat!("Tag ", stringify!($number), ".")] pub const $name: u32 = $number;)+
    };
}

tags! {
    ACCOUNT = 1, AVG_PX = 6, BEGIN_SEQ_NO = 7, BEGIN_STRING = 8, BODY_LENGTH = 9, CHECK_SUM = 10, CL_ORD_ID = 11,
    CUM_QTY = 14, END_SEQ_NO = 16, EXEC_ID = 17, HANDL_INST = 21, LAST_PX = 31, LAST_QTY = 32, MSG_SEQ_NUM = 34,
    MSG_TYPE = 35, NEW_SEQ_NO = 36, ORDER_ID = 37, ORDER_QTY = 38, ORD_STATUS = 39, ORD_TYPE = 40,
    ORIG_CL_ORD_ID = 41, POSS_DUP_FLAG = 43, PRICE = 44, REF_SEQ_NUM = 45, SENDER_COMP_ID = 49, SENDING_TIME = 52,
    SIDE = 54, SYMBOL = 55, TARGET_COMP_ID = 56, TEXT = 58, TIME_IN_FORCE = 59, TRANSACT_TIME = 60,
    ENCRYPT_METHOD = 98, CXL_REJ_REASON = 102, ORD_REJ_REASON = 103, HEART_BT_INT = 108, TEST_REQ_ID = 112,
    ON_BEHALF_OF_COMP_ID = 115, ON_BEHALF_OF_SUB_ID = 116, ORIG_SENDING_TIME = 122, GAP_FILL_FLAG = 123,
    DELIVER_TO_COMP_ID = 128, DELIVER_TO_SUB_ID = 129, NO_MISC_FEES = 136, MISC_FEE_AMT = 137,
    MISC_FEE_CURR = 138, MISC_FEE_TYPE = 139, RESET_SEQ_NUM_FLAG = 141, ON_BEHALF_OF_LOCATION_ID = 144,
    DELIVER_TO_LOCATION_ID = 145, EXEC_TYPE = 150, LEAVES_QTY = 151, REF_TAG_ID = 371, REF_MSG_TYPE = 372,
    EXEC_TRANS_TYPE = 20, POSS_RESEND = 97, RAW_DATA_LENGTH = 95, RAW_DATA = 96, LAST_MSG_SEQ_NUM_PROCESSED = 369,
    NEXT_EXPECTED_MSG_SEQ_NUM = 789, APPL_VER_ID = 1128, DEFAULT_APPL_VER_ID = 1137, SESSION_REJECT_REASON = 373, BUSINESS_REJECT_REF_ID = 379, BUSINESS_REJECT_REASON = 380,
    CXL_REJ_RESPONSE_TO = 434, USERNAME = 553, PASSWORD = 554, ORD_STATUS_REQ_ID = 790, LAST_LIQUIDITY_IND = 851,
    MISC_FEE_BASIS = 891, SELF_MATCH_PREVENTION_INSTRUCTION = 2964,
    EXEC_INST = 18, EXEC_REF_ID = 19, LIST_ID = 66, LIST_SEQ_NO = 67, TOT_NO_ORDERS = 68, NO_ORDERS = 73, NO_RPTS = 82,
    RPT_SEQ = 83, CXL_QTY = 84, STOP_PX = 99, MIN_QTY = 110, MAX_FLOOR = 111, EXPIRE_TIME = 126, CASH_ORDER_QTY = 152,
    PEG_OFFSET_VALUE = 211, EXEC_RESTATEMENT_REASON = 378, BID_TYPE = 394, LIST_STATUS_TYPE = 429,
    LIST_ORDER_STATUS = 431, EXPIRE_DATE = 432, LIST_EXEC_INST_TYPE = 433, LIST_STATUS_TEXT = 444,
    MASS_CANCEL_REQUEST_TYPE = 530, MASS_CANCEL_RESPONSE = 531, MASS_CANCEL_REJECT_REASON = 532,
    TOTAL_AFFECTED_ORDERS = 533, ACCOUNT_TYPE = 581, MASS_STATUS_REQ_ID = 584, MASS_STATUS_REQ_TYPE = 585,
    PEG_MOVE_TYPE = 835, PEG_OFFSET_TYPE = 836, PEG_LIMIT_TYPE = 837, PEG_ROUND_DIRECTION = 838, PEGGED_PRICE = 839,
    PEG_SCOPE = 840, LAST_FRAGMENT = 893, TOT_NUM_REPORTS = 911, LAST_RPT_REQUESTED = 912,
    SECONDARY_DISPLAY_QTY = 1082, DISPLAY_WHEN = 1083, DISPLAY_METHOD = 1084, DISPLAY_LOW_QTY = 1085,
    DISPLAY_HIGH_QTY = 1086, DISPLAY_MIN_INCR = 1087, REFRESH_QTY = 1088, PEG_PRICE_TYPE = 1094, TRIGGER_TYPE = 1100,
    TRIGGER_ACTION = 1101, TRIGGER_PRICE = 1102, TRIGGER_PRICE_TYPE = 1107, TRIGGER_PRICE_DIRECTION = 1109,
    TRIGGER_ORDER_TYPE = 1111, DISPLAY_QTY = 1138, MASS_ACTION_REPORT_ID = 1369, CONTINGENCY_TYPE = 1385,
    NEW_PASSWORD = 925, CURRENCY = 15, SUBSCRIPTION_REQUEST_TYPE = 263,
    PARTY_ID_SOURCE = 447, PARTY_ID = 448, PARTY_ROLE = 452, NO_PARTY_IDS = 453, NO_POSITIONS = 702, POS_TYPE = 703,
    LONG_QTY = 704, SHORT_QTY = 705, POS_REQ_ID = 710, CLEARING_BUSINESS_DATE = 715, POS_MAINT_RPT_ID = 721,
    POS_REQ_TYPE = 724, TOTAL_NUM_POS_REPORTS = 727, POS_REQ_RESULT = 728, POS_REQ_STATUS = 729, SETTL_PRICE = 730,
    SETTL_PRICE_TYPE = 731, PRIOR_SETTL_PRICE = 734, MARGIN_EXCESS = 899, TOTAL_NET_VALUE = 900, COLL_RPT_ID = 908,
    COLL_INQUIRY_ID = 909, COLL_STATUS = 910, USER_REQUEST_ID = 923, USER_REQUEST_TYPE = 924, USER_STATUS = 926,
    USER_STATUS_TEXT = 927, COLL_INQUIRY_STATUS = 945, COLL_INQUIRY_RESULT = 946, ACCOUNT_SUMMARY_REPORT_ID = 1699,
    NO_COLLATERAL_AMOUNTS = 1703, CURRENT_COLLATERAL_AMOUNT = 1704, COLLATERAL_CURRENCY = 1705,
    COLLATERAL_TYPE = 1706, SELF_TRADE_PREVENTION = 9104, POST_ONLY_SLIDE = 9101, MARKET_TO_LIMIT = 9102, OWN_SESSION_ONLY = 9103, CANCEL_ON_DISCONNECT_TYPE = 35002,
    CANCEL_ON_DISCONNECT_GRACE_MS = 35003,
}

/// First tag of the range that FIX leaves to users.
pub const FIRST_USER_TAG: u32 = 5000;

/// Whether the type belongs to the session layer.
#[must_use]
pub fn is_admin(message_type: &[u8]) -> bool {
    matches!(message_type, b"0" | b"1" | b"2" | b"3" | b"4" | b"5" | b"A")
}

/// Whether the tag belongs to the standard trailer.
#[must_use]
pub fn is_trailer(tag: u32) -> bool {
    matches!(tag, 10 | 89 | 93)
}

/// Length fields with the data fields that follow them, of all versions.
const LENGTHS: &[(u32, u32)] = &lengths();

/// Lines of the table without comments.
const fn lengths() -> [(u32, u32); 83] {
    let text = include_bytes!("../dictionary/tables/lengths.txt");
    let (mut pairs, mut count, mut at) = ([(0, 0); 83], 0, 0);
    while at < text.len() {
        let (mut numbers, mut number, mut place, mut comment) = ((0, 0), 0, 0, false);
        while text[at] != b'\n' {
            comment |= text[at] == b'#';
            if text[at] == b' ' && place == 0 {
                (numbers.0, number, place) = (number, 0, 1);
            } else if !comment {
                number = number * 10 + (text[at] - b'0') as u32;
            }
            at += 1;
        }
        at += 1;
        if !comment {
            numbers.1 = number;
            pairs[count] = numbers;
            count += 1;
        }
    }
    assert!(count == pairs.len(), "the number of lines in lengths.txt");
    pairs
}

/// One bit for each tag that gives a length: nearly all do not.
static IS_LENGTH: [u64; 1 << 10] = {
    let (mut bits, mut at) = ([0; 1 << 10], 0);
    while at < LENGTHS.len() {
        bits[LENGTHS[at].0 as usize / 64] |= 1 << (LENGTHS[at].0 % 64);
        at += 1;
    }
    bits
};

/// The data tag whose length this tag gives, if it is a length tag in any version of FIX.
#[inline]
#[must_use]
pub fn data_tag_of(length_tag: u32) -> Option<u32> {
    let word = *IS_LENGTH.get(length_tag as usize / 64)?;
    if word >> (length_tag % 64) & 1 == 0 {
        return None;
    }
    LENGTHS.iter().find(|(length, _)| *length == length_tag).map(|(_, data)| *data)
}

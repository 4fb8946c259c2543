//! Tag numbers, message types and the tables of FIX 4.4 that validation needs (from the FIX 4.4 specification).

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
    SESSION_REJECT_REASON = 373, BUSINESS_REJECT_REF_ID = 379, BUSINESS_REJECT_REASON = 380,
    CXL_REJ_RESPONSE_TO = 434, USERNAME = 553, PASSWORD = 554, ORD_STATUS_REQ_ID = 790, LAST_LIQUIDITY_IND = 851,
    MISC_FEE_BASIS = 891, SELF_MATCH_PREVENTION_INSTRUCTION = 2964,
}

/// Highest tag that FIX 4.4 defines.
pub const LAST_DEFINED_TAG: u32 = 956;

/// First tag of the range that FIX leaves to users.
pub const FIRST_USER_TAG: u32 = 5000;

/// Message types of FIX 4.4, administrative ones included.
const MESSAGE_TYPES: &[&str] = &[
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F", "G", "H", "J", "K", "L",
    "M", "N", "P", "Q", "R", "S", "T", "V", "W", "X", "Y", "Z", "a", "b", "c", "d", "e", "f", "g", "h", "i",
    "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z", "AA", "AB", "AC",
    "AD", "AE", "AF", "AG", "AH", "AI", "AJ", "AK", "AL", "AM", "AN", "AO", "AP", "AQ", "AR", "AS", "AT",
    "AU", "AV", "AW", "AX", "AY", "AZ", "BA", "BB", "BC", "BD", "BE", "BF", "BG", "BH",
];

/// Numbers up to [`LAST_DEFINED_TAG`] that FIX 4.4 does not define.
const UNDEFINED: &[u32] = &[
    20, 24, 46, 47, 51, 76, 86, 92, 101, 105, 109, 125, 166, 173, 174, 175, 176, 177, 178, 179, 180, 181,
    182, 183, 184, 185, 186, 187, 204, 205, 219, 261, 314, 319, 370, 439, 440, 449, 450, 465, 653, 685, 809,
    831,
];

/// Whether FIX 4.4 knows this message type.
#[must_use]
pub fn is_message_type(value: &[u8]) -> bool {
    MESSAGE_TYPES.iter().any(|known| known.as_bytes() == value)
}

/// Whether the type belongs to the session layer.
#[must_use]
pub fn is_admin(message_type: &[u8]) -> bool {
    matches!(message_type, b"0" | b"1" | b"2" | b"3" | b"4" | b"5" | b"A")
}

/// Whether FIX 4.4 defines the tag.
#[must_use]
pub fn is_defined(tag: u32) -> bool {
    (1..=LAST_DEFINED_TAG).contains(&tag) && !UNDEFINED.contains(&tag)
}

/// Whether the tag belongs to the standard header.
#[must_use]
pub fn is_header(tag: u32) -> bool {
    matches!(
        tag,
        8 | 9
            | 34
            | 35
            | 43
            | 49
            | 50
            | 52
            | 56
            | 57
            | 90
            | 91
            | 97
            | 115
            | 116
            | 122
            | 128
            | 129
            | 142
            | 143
            | 144
            | 145
            | 212
            | 213
            | 347
            | 369
            | 627
            | 628
            | 629
            | 630
    )
}

/// Whether the tag belongs to the standard trailer.
#[must_use]
pub fn is_trailer(tag: u32) -> bool {
    matches!(tag, 10 | 89 | 93)
}

/// The data tag whose length this tag gives, if it is a length tag.
#[must_use]
pub fn data_tag_of(length_tag: u32) -> Option<u32> {
    Some(match length_tag {
        90 => 91,
        93 => 89,
        95 => 96,
        212 => 213,
        348 => 349,
        350 => 351,
        352 => 353,
        354 => 355,
        356 => 357,
        358 => 359,
        360 => 361,
        362 => 363,
        364 => 365,
        445 => 446,
        618 => 619,
        621 => 622,
        _ => return None,
    })
}

//! The message types with their fields, in the order of their bytes.

use core::fmt;

/// A stock symbol: eight bytes, padded with spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stock(pub [u8; 8]);

impl fmt::Display for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.trim_ascii_end().escape_ascii())
    }
}

/// What every message starts with, after its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Number of the stock for the day; 0 where the message is about none.
    pub stock_locate: u16,
    /// Nasdaq's own number.
    pub tracking_number: u16,
    /// Nanoseconds since midnight, New York; 48 bits.
    pub timestamp_ns: u64,
}

/// A field of fixed size in a message.
trait Field: Sized {
    const SIZE: usize;
    fn get(bytes: &mut &[u8]) -> Option<Self>;
    fn put(&self, out: &mut Vec<u8>);
}

macro_rules! integer_fields {
    ($($type:ty),+) => {$(
        impl Field for $type {
            const SIZE: usize = size_of::<$type>();
            fn get(bytes: &mut &[u8]) -> Option<Self> {
                let (head, tail) = bytes.split_first_chunk()?;
                *bytes = tail;
                Some(Self::from_be_bytes(*head))
            }
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }
    )+};
}
integer_fields!(u8, u16, u32, u64);

impl<const N: usize> Field for [u8; N] {
    const SIZE: usize = N;
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        let (head, tail) = bytes.split_first_chunk()?;
        *bytes = tail;
        Some(*head)
    }
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Field for Stock {
    const SIZE: usize = 8;
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Field::get(bytes).map(Self)
    }
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

impl Field for Header {
    const SIZE: usize = 10;
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        let stock_locate = Field::get(bytes)?;
        let tracking_number = Field::get(bytes)?;
        let [a, b, c, d, e, f] = <[u8; 6]>::get(bytes)?;
        let timestamp_ns = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        Some(Self { stock_locate, tracking_number, timestamp_ns })
    }
    fn put(&self, out: &mut Vec<u8>) {
        self.stock_locate.put(out);
        self.tracking_number.put(out);
        let [_, _, rest @ ..] = self.timestamp_ns.to_be_bytes();
        rest.put(out);
    }
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// The first byte is no message type of ITCH 5.0.
    UnknownType(u8),
    /// A known type with another length than the specification's.
    WrongLength {
        /// The type.
        kind: u8,
        /// Its bytes.
        length: usize,
        /// The specification's.
        expected: usize,
    },
    /// No bytes at all.
    Empty,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(kind) => write!(f, "unknown message type '{}'", kind.escape_ascii()),
            Self::WrongLength { kind, length, expected } => {
                write!(f, "message '{}' has {length} bytes instead of {expected}", kind.escape_ascii())
            }
            Self::Empty => f.write_str("empty message"),
        }
    }
}

impl std::error::Error for MessageError {}

/// Declares the messages: struct, reader, writer, and an assertion that the fields add up to the specified length.
macro_rules! messages {
    ($($(#[$meta:meta])* $kind:literal $length:literal $name:ident {
        $($(#[$fmeta:meta])* $field:ident : $type:ty,)*
    })+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $name {
                /// Stock, tracking number and time.
                pub header: Header,
                $($(#[$fmeta])* pub $field: $type,)*
            }

            const _: () = assert!(1 + Header::SIZE $(+ <$type as Field>::SIZE)* == $length);
        )+

        /// One message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Message {
            $(#[doc = concat!("Type `", stringify!($kind), "`.")] $name($name),)+
        }

        impl Message {
            /// Reads one message, without its length prefix.
            ///
            /// # Errors
            /// [`MessageError`]: of an unknown type or not of its exact length.
            pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
                let (&kind, mut rest) = bytes.split_first().ok_or(MessageError::Empty)?;
                let length = bytes.len();
                match kind {
                    $($kind => {
                        let wrong = MessageError::WrongLength { kind, length, expected: $length };
                        if length != $length {
                            return Err(wrong);
                        }
                        let mut read = || Some($name {
                            header: Field::get(&mut rest)?,
                            $($field: Field::get(&mut rest)?,)*
                        });
                        read().map(Self::$name).ok_or(wrong)
                    })+
                    kind => Err(MessageError::UnknownType(kind)),
                }
            }

            /// Appends the message with its two bytes of length.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(message) => {
                        ($length as u16).put(out);
                        $kind.put(out);
                        message.header.put(out);
                        $(message.$field.put(out);)*
                    })+
                }
            }

            /// Type byte.
            #[must_use]
            pub const fn kind(&self) -> u8 {
                match self { $(Self::$name(_) => $kind,)+ }
            }

            /// Stock, tracking number and time.
            #[must_use]
            pub const fn header(&self) -> &Header {
                match self { $(Self::$name(message) => &message.header,)+ }
            }
        }

        /// Every type with its length in bytes, without the prefix.
        #[must_use]
        pub const fn known_lengths() -> &'static [(u8, usize)] {
            &[$(($kind, $length),)+]
        }
    };
}

messages! {
    /// Start and end of messages, system hours and market hours (1.1).
    b'S' 12 SystemEvent {
        /// `O` `S` `Q` `M` `E` `C`.
        event_code: u8,
    }
    /// A stock that may trade today (1.2.1).
    b'R' 39 StockDirectory {
        /// Symbol.
        stock: Stock,
        /// Listing market or tier.
        market_category: u8,
        /// Deficient, delinquent, bankrupt.
        financial_status: u8,
        /// Shares in a round lot.
        round_lot_size: u32,
        /// `Y` if only round lots.
        round_lots_only: u8,
        /// Security class.
        issue_classification: u8,
        /// Finer class.
        issue_sub_type: [u8; 2],
        /// `P` live, `T` test.
        authenticity: u8,
        /// Short sale threshold.
        short_sale_threshold: u8,
        /// IPO flag.
        ipo: u8,
        /// Limit-up limit-down tier.
        luld_tier: u8,
        /// Exchange traded product.
        etp: u8,
        /// Leverage factor.
        etp_leverage: u32,
        /// Inverse ETP.
        inverse: u8,
    }
    /// Trading state of a stock (1.2.2).
    b'H' 25 TradingAction {
        /// Symbol.
        stock: Stock,
        /// `H` halted, `P` paused, `Q` quotation only, `T` trading.
        trading_state: u8,
        /// Reserved.
        reserved: u8,
        /// Why.
        reason: [u8; 4],
    }
    /// Short sale price test (1.2.3).
    b'Y' 20 RegSho {
        /// Symbol.
        stock: Stock,
        /// `0` none, `1` intraday, `2` remains.
        action: u8,
    }
    /// Position of a market participant (1.2.4).
    b'L' 26 MarketParticipant {
        /// Firm.
        mpid: [u8; 4],
        /// Symbol.
        stock: Stock,
        /// `Y` if a primary market maker.
        primary_market_maker: u8,
        /// `N` normal and others.
        market_maker_mode: u8,
        /// `A` active and others.
        participant_state: u8,
    }
    /// Market-wide circuit breaker levels (1.2.5.1); eight implied decimals.
    b'V' 35 MwcbDecline {
        /// First level.
        level_1: u64,
        /// Second level.
        level_2: u64,
        /// Third level.
        level_3: u64,
    }
    /// Market-wide circuit breaker breached (1.2.5.2).
    b'W' 12 MwcbStatus {
        /// `1` `2` `3`.
        breached_level: u8,
    }
    /// Quotation period of an initial public offering (1.2.6).
    b'K' 28 IpoQuotation {
        /// Symbol.
        stock: Stock,
        /// Seconds since midnight.
        release_time_s: u32,
        /// `A` anticipated, `C` cancelled.
        release_qualifier: u8,
        /// IPO price.
        price: u32,
    }
    /// Limit-up limit-down auction collar (1.2.7).
    b'J' 35 AuctionCollar {
        /// Symbol.
        stock: Stock,
        /// Reference price.
        reference_price: u32,
        /// Upper threshold.
        upper_price: u32,
        /// Lower threshold.
        lower_price: u32,
        /// Number of extensions.
        extension: u32,
    }
    /// Operational halt of one market (1.2.8).
    b'h' 21 OperationalHalt {
        /// Symbol.
        stock: Stock,
        /// `Q` Nasdaq, `B` BX, `X` PSX.
        market_code: u8,
        /// `H` halted, `T` trading.
        action: u8,
    }
    /// A displayed order without attribution (1.3.1).
    b'A' 36 AddOrder {
        /// Day-unique order reference number.
        reference: u64,
        /// `B` or `S`.
        side: u8,
        /// Shares.
        shares: u32,
        /// Symbol.
        stock: Stock,
        /// Limit price.
        price: u32,
    }
    /// A displayed order with its firm (1.3.2).
    b'F' 40 AddOrderAttributed {
        /// Day-unique order reference number.
        reference: u64,
        /// `B` or `S`.
        side: u8,
        /// Shares.
        shares: u32,
        /// Symbol.
        stock: Stock,
        /// Limit price.
        price: u32,
        /// Firm.
        attribution: [u8; 4],
    }
    /// An order was executed at its price, in full or part (1.4.1).
    b'E' 31 OrderExecuted {
        /// Which order.
        reference: u64,
        /// Shares.
        shares: u32,
        /// Day-unique match number.
        match_number: u64,
    }
    /// An order was executed at another price than its own (1.4.2).
    b'C' 36 OrderExecutedWithPrice {
        /// Which order.
        reference: u64,
        /// Shares.
        shares: u32,
        /// Day-unique match number.
        match_number: u64,
        /// `N` if another message carries the volume (a cross), else `Y`.
        printable: u8,
        /// The execution's price.
        price: u32,
    }
    /// Part of an order was cancelled (1.4.3).
    b'X' 23 OrderCancel {
        /// Which order.
        reference: u64,
        /// Shares taken off.
        shares: u32,
    }
    /// An order was cancelled (1.4.4).
    b'D' 19 OrderDelete {
        /// Which order.
        reference: u64,
    }
    /// An order was replaced by another of the same side and stock (1.4.5).
    b'U' 35 OrderReplace {
        /// The old order.
        reference: u64,
        /// The new one.
        new_reference: u64,
        /// Its shares.
        shares: u32,
        /// Its price.
        price: u32,
    }
    /// A trade with an order that was not displayed (1.5.1).
    b'P' 44 Trade {
        /// 0, or a reference that was never added.
        reference: u64,
        /// `B` (always, since 2014).
        side: u8,
        /// Shares.
        shares: u32,
        /// Symbol.
        stock: Stock,
        /// Price.
        price: u32,
        /// Day-unique match number.
        match_number: u64,
    }
    /// The bulk print of a cross (1.5.2).
    b'Q' 40 CrossTrade {
        /// Shares.
        shares: u64,
        /// Symbol.
        stock: Stock,
        /// Price.
        price: u32,
        /// Day-unique match number.
        match_number: u64,
        /// `O` opening, `C` closing, `H` halt or IPO.
        cross_type: u8,
    }
    /// A trade was broken (1.5.3).
    b'B' 19 BrokenTrade {
        /// Which match.
        match_number: u64,
    }
    /// Net order imbalance before a cross (1.6).
    b'I' 50 Noii {
        /// Shares paired at the reference price.
        paired_shares: u64,
        /// Shares not paired.
        imbalance_shares: u64,
        /// `B` `S` `N` `O` `P`.
        direction: u8,
        /// Symbol.
        stock: Stock,
        /// Far price.
        far_price: u32,
        /// Near price.
        near_price: u32,
        /// Reference price.
        reference_price: u32,
        /// `O` `C` `H` `A`.
        cross_type: u8,
        /// How far the near price is from the reference.
        price_variation: u8,
    }
    /// Retail interest (1.7).
    b'N' 20 RetailInterest {
        /// Symbol.
        stock: Stock,
        /// `B` `S` `A` `N`.
        interest: u8,
    }
    /// Direct listing with capital raise: price discovery (1.8).
    b'O' 48 DirectListing {
        /// Symbol.
        stock: Stock,
        /// `Y` if open for trading release.
        open_eligibility: u8,
        /// Lowest price of the registration's range less 20 %.
        minimum_price: u32,
        /// Highest price plus 80 %.
        maximum_price: u32,
        /// Near execution price.
        near_price: u32,
        /// Time of it, nanoseconds since midnight.
        near_time_ns: u64,
        /// Lower collar.
        lower_price: u32,
        /// Upper collar.
        upper_price: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of the specification, written down a second time.
    #[test]
    fn every_type_of_the_specification_is_there_with_its_length() {
        let specification = [
            (b'S', 12),
            (b'R', 39),
            (b'H', 25),
            (b'Y', 20),
            (b'L', 26),
            (b'V', 35),
            (b'W', 12),
            (b'K', 28),
            (b'J', 35),
            (b'h', 21),
            (b'A', 36),
            (b'F', 40),
            (b'E', 31),
            (b'C', 36),
            (b'X', 23),
            (b'D', 19),
            (b'U', 35),
            (b'P', 44),
            (b'Q', 40),
            (b'B', 19),
            (b'I', 50),
            (b'N', 20),
            (b'O', 48),
        ];
        assert_eq!(known_lengths(), specification);
    }

    #[test]
    fn any_bytes_of_the_right_length_survive_reading_and_writing() {
        for &(kind, length) in known_lengths() {
            let mut bytes: Vec<u8> = (0..length).map(|index| (index * 37 + 11) as u8).collect();
            bytes[0] = kind;
            let message = Message::parse(&bytes).expect("of the exact length");
            assert_eq!(message.kind(), kind);
            assert_eq!(message.header().stock_locate, u16::from_be_bytes([bytes[1], bytes[2]]));
            let mut written = Vec::new();
            message.encode(&mut written);
            assert_eq!(written[..2], (length as u16).to_be_bytes());
            assert_eq!(written[2..], bytes);
            bytes.push(0);
            let wrong = MessageError::WrongLength { kind, length: length + 1, expected: length };
            assert_eq!(Message::parse(&bytes), Err(wrong));
            assert!(Message::parse(&bytes[..length - 1]).is_err());
        }
        assert_eq!(Message::parse(b"Zabc"), Err(MessageError::UnknownType(b'Z')));
        assert_eq!(Message::parse(b""), Err(MessageError::Empty));
    }

    /// Bytes laid out by hand, so that a swapped field cannot hide behind a symmetric mistake.
    #[test]
    fn fields_lie_where_the_specification_says() {
        let mut bytes = vec![b'A', 0, 13, 0, 2, 0, 0, 0, 1, 0, 7];
        bytes.extend(99u64.to_be_bytes());
        bytes.push(b'S');
        bytes.extend(300u32.to_be_bytes());
        bytes.extend(b"AAPL    ");
        bytes.extend(2_866_700u32.to_be_bytes());
        let header = Header { stock_locate: 13, tracking_number: 2, timestamp_ns: 65_543 };
        let stock = Stock(*b"AAPL    ");
        let expected = AddOrder { header, reference: 99, side: b'S', shares: 300, stock, price: 2_866_700 };
        assert_eq!(Message::parse(&bytes), Ok(Message::AddOrder(expected)));
        assert_eq!(stock.to_string(), "AAPL");
    }
}

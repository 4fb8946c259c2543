//! FIX order entry: sessions, orders, execution reports.

//! Where in a message a container is.

/// The stream itself.
pub const ROOT: u8 = 0;
/// A container that no rule looks into.
pub const JUNK: u8 = 1;
/// A top-level object.
pub const MESSAGE: u8 = 2;
pub const PARAMS: u8 = 3;
pub const RESULT: u8 = 4;
/// `result.job`.
pub const JOB: u8 = 5;
/// An object within the parameter array.
pub const ELEMENT: u8 = 6;
pub const CAPABILITIES: u8 = 7;
/// The container is an array.
pub const ARRAY: u8 = 8;
/// An array of messages.
pub const BATCH: u8 = ROOT | ARRAY;
pub const LIST: u8 = PARAMS | ARRAY;
pub const RESULTS: u8 = RESULT | ARRAY;
/// An array within the result array: `result.job` is no array, so the code is free.
pub const NESTED: u8 = JOB | ARRAY;

/// Containers that `stack` has room for.
pub const STACKED: u16 = 16;

/// Context of a container by the outer one's and its own kind (object, array); `BY_KEY` where the key decides.
pub static OPENS: [[u8; 2]; 16] = {
    let mut opens = [[JUNK, JUNK | ARRAY]; 16];
    opens[ROOT as usize] = [MESSAGE, BATCH];
    opens[BATCH as usize] = [MESSAGE, BATCH];
    opens[LIST as usize][0] = ELEMENT;
    opens[RESULTS as usize][1] = NESTED;
    opens[NESTED as usize][1] = NESTED;
    opens[MESSAGE as usize] = [BY_KEY, BY_KEY];
    opens[RESULT as usize] = [BY_KEY, BY_KEY];
    opens[ELEMENT as usize] = [BY_KEY, BY_KEY];
    opens
};
/// Where the key decides.
pub const BY_KEY: u8 = 0xff;

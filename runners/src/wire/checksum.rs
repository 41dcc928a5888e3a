//! The Internet checksum (RFC 1071), and its correction after a change (RFC 1624).

/// Returns a number that [`fold`] turns into the sum of the 16-bit words of `bytes`. An odd byte at
/// the end counts as a high byte.
pub fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(4);
    let mut last = [0; 4];
    last.iter_mut().zip(words.remainder()).for_each(|(to, from)| *to = *from);
    let words = words.filter_map(<[u8]>::first_chunk).chain([&last]);
    words.map(|word| u64::from(u32::from_be_bytes(*word))).sum()
}

/// Returns the ones' complement sum of the 16-bit words of a number.
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Writes to offset `at` of `bytes` the checksum over `bytes` and a pseudo-header. `pseudo` is the
/// [`sum`] of the pseudo-header. If `bytes` end before `at + 2`, they stay as they are.
pub fn put(bytes: &mut [u8], at: usize, pseudo: u64) {
    put_as(bytes, at, pseudo, |checksum| checksum);
}

/// Writes a checksum as [`put`] does, for UDP: 0 means "no checksum" there, so that 0xffff takes the
/// place of 0 (RFC 768).
pub fn put_udp(bytes: &mut [u8], at: usize, pseudo: u64) {
    put_as(bytes, at, pseudo, |checksum| if checksum == 0 { 0xffff } else { checksum });
}

fn put_as(bytes: &mut [u8], at: usize, pseudo: u64, written: impl FnOnce(u16) -> u16) {
    let field = |bytes: &mut [u8], value: u16| {
        let field = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
        field.map(|field| *field = value.to_be_bytes()).is_some()
    };
    if field(bytes, 0) {
        let checksum = !fold(sum(bytes) + pseudo);
        field(bytes, written(checksum));
    }
}

/// Returns the checksum of data in which the words `from` have become the words `to`; `checksum` is
/// that of the data before. Both have the same even number of bytes.
pub fn corrected(checksum: u16, from: &[u8], to: &[u8]) -> u16 {
    let removed = u64::from(!fold(sum(from)));
    !fold(u64::from(!checksum) + removed + sum(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071 section 3.
    const WORDS: [u8; 8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];

    #[test]
    fn sums_are_those_of_the_standard() {
        assert_eq!(fold(sum(&WORDS)), 0xddf2);
        assert_eq!(fold(sum(&WORDS[..7])), 0xddf2 - 0xf7, "an odd byte");
        assert_eq!(fold(sum(&[])), 0);
    }

    #[test]
    fn a_written_checksum_completes_the_sum() {
        for length in 2..WORDS.len() {
            let mut bytes = WORDS[..length].to_vec();
            put(&mut bytes, 0, 7);
            assert_eq!(fold(sum(&bytes) + 7), 0xffff, "{length} bytes");
        }
        let mut short = [1, 2, 3];
        put(&mut short, 2, 0);
        assert_eq!(short, [1, 2, 3]);
    }

    #[test]
    fn a_checksum_of_udp_is_never_0() {
        let mut bytes = [0, 0, 0xff, 0xff];
        put(&mut bytes, 0, 0);
        assert_eq!(bytes[..2], [0, 0]);
        put_udp(&mut bytes, 0, 0);
        assert_eq!(bytes[..2], [0xff, 0xff]);
    }

    #[test]
    fn a_corrected_checksum_is_that_of_the_new_bytes() {
        let new = [9, 8, 7, 6];
        let mut changed = WORDS;
        changed[4..].copy_from_slice(&new);
        let [old_sum, new_sum] = [WORDS, changed].map(|bytes| !fold(sum(&bytes)));
        assert_eq!(corrected(old_sum, &WORDS[4..], &new), new_sum);
    }
}

//! Header values put together on the stack.

/// A text of at most `N` bytes. What would not fit is left out; whoever picks
/// `N` sees to it that everything does.
pub(super) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn room(&self) -> usize {
        N - self.len
    }

    pub(super) fn clear(&mut self) -> &mut Self {
        self.len = 0;
        self
    }

    pub(super) fn push(&mut self, more: &[u8]) -> &mut Self {
        let end = self.len + more.len();
        debug_assert!(end <= N, "a text outgrew its room");
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(more);
            self.len = end;
        }
        self
    }

    pub(super) fn push_number(&mut self, mut number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut start = digits.len();
        while number >= 100 {
            start -= 2;
            digits[start..start + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
            number /= 100;
        }
        let [tens, ones] = PAIRS[number as usize];
        start -= 1;
        digits[start] = ones;
        if tens != b'0' {
            start -= 1;
            digits[start] = tens;
        }
        self.push(&digits[start..])
    }
}

/// The numbers below a hundred, in two digits each: a division for two digits
/// is half of the divisions.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_rust_does() {
        let edges = (0..20).flat_map(|power| {
            let ten = 10_u64.pow(power);
            [ten - 1, ten, ten + 1]
        });
        for number in edges.chain(0..1200).chain([u64::MAX]) {
            let mut text = Text::<20>::new();
            assert_eq!(
                text.push_number(number).bytes(),
                number.to_string().as_bytes()
            );
        }
    }
}

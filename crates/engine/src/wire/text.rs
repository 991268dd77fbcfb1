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
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return self.push(&digits[start..]);
            }
        }
    }
}

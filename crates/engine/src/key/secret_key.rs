//! Secrets in the clear: a key and a session token, as they are minted, shown
//! once, and forgotten.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use zeroize::Zeroize;

use super::tail::{self, Reader};
use super::{CHECK_LEN, ID_LEN, KeyId, MAX_KEY_LEN, Prefix, SECRET_LEN, ServerSecret, base62};

/// Characters of a session token that we mint: 43 base62 digits carry 256 bits.
const TOKEN_LEN: usize = 43;

/// A whole key, secret part included. Wiped on drop; `Debug` shows its id only.
#[derive(Clone)]
pub struct SecretKey {
    bytes: [u8; MAX_KEY_LEN],
    len: u8,
    id: KeyId,
    prefix: Prefix,
}

/// A whole session token. Wiped on drop; `Debug` shows nothing.
#[derive(Clone)]
pub struct SessionToken([u8; TOKEN_LEN]);

/// A text that is no key: wrong length, characters or check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFormError;

impl SecretKey {
    /// Mints a key from the operating system's random source.
    ///
    /// # Errors
    ///
    /// Where the operating system gives no random bytes.
    pub fn generate(prefix: &Prefix) -> Result<Self, getrandom::Error> {
        Self::of_digits(prefix, |place| fill_base62(place, getrandom::fill))
    }

    /// The key that belongs to a seed under a server secret: the same whenever
    /// it is asked for, and known to nobody without both. So what was handed
    /// out can be handed out again without having been kept. A seed holds at
    /// least 128 random bits, and is used for one key.
    #[must_use]
    pub fn derived(prefix: &Prefix, secret: &ServerSecret, seed: &[u8]) -> Self {
        let mut stream = stream("tokenkit 2026-11-26 key of a seed v1", secret, seed);
        let Ok(key) = Self::of_digits::<Infallible>(prefix, |place| {
            fill_base62(place, |pool| {
                stream.fill(pool);
                Ok(())
            })
        });
        key
    }

    /// A key whose id and secret are filled in by `fill`, with base62 digits.
    fn of_digits<E>(
        prefix: &Prefix,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut bytes = [0; MAX_KEY_LEN];
        let head = prefix.as_bytes().len();
        bytes[..head].copy_from_slice(prefix.as_bytes());
        bytes[head] = b'_';
        let body_end = head + 1 + ID_LEN + SECRET_LEN;
        fill(&mut bytes[head + 1..body_end])?;
        let check = tail::check_of(&bytes[..body_end]);
        let len = body_end + CHECK_LEN;
        base62::encode(u64::from(check), &mut bytes[body_end..len]);
        let id = base62::decode(&bytes[head + 1..head + 1 + ID_LEN]).map_or(KeyId(0), KeyId);
        Ok(Self {
            bytes,
            len: len as u8,
            id,
            prefix: *prefix,
        })
    }

    /// The key in the clear: show it once, then drop it.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// The public part.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The prefix.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }
}

impl FromStr for SecretKey {
    type Err = KeyFormError;

    /// Takes a key made elsewhere, of any prefix.
    fn from_str(text: &str) -> Result<Self, KeyFormError> {
        let (head, tail) = text.as_bytes().split_last_chunk().ok_or(KeyFormError)?;
        let prefix = head.strip_suffix(b"_").ok_or(KeyFormError)?;
        let prefix = Prefix::parse(prefix).map_err(|_| KeyFormError)?;
        let id = Reader::Plain.read(tail, tail::check_of(head));
        let id = id.ok_or(KeyFormError)?;
        let mut bytes = [0; MAX_KEY_LEN];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self {
            bytes,
            len: text.len() as u8,
            id,
            prefix,
        })
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}_{}..)", self.prefix, self.id)
    }
}

impl fmt::Display for KeyFormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a key: <prefix>_ and 48 characters of 0-9, A-Z and a-z, \
             of which the last six are the check of the rest, are wanted",
        )
    }
}

impl std::error::Error for KeyFormError {}

impl SessionToken {
    /// Mints a token of 43 base62 characters (256 bits) from the operating
    /// system's random source.
    ///
    /// # Errors
    ///
    /// Where the operating system gives no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN_LEN];
        fill_base62(&mut bytes, getrandom::fill)?;
        Ok(Self(bytes))
    }

    /// The token that belongs to a seed under a server secret, as
    /// [`SecretKey::derived`].
    #[must_use]
    pub fn derived(secret: &ServerSecret, seed: &[u8]) -> Self {
        let mut stream = stream(
            "tokenkit 2026-11-26 session token of a seed v1",
            secret,
            seed,
        );
        let mut bytes = [0; TOKEN_LEN];
        let Ok(()) = fill_base62::<Infallible>(&mut bytes, |pool| {
            stream.fill(pool);
            Ok(())
        });
        Self(bytes)
    }

    /// The token in the clear: show it once, then drop it.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Drop for SessionToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(..)")
    }
}

/// A stream of bytes that look random, of a seed under a secret.
fn stream(context: &str, secret: &ServerSecret, seed: &[u8]) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(secret.expose()).update(seed).finalize_xof()
}

/// Fills `out` with uniformly drawn base62 digits, made of random bytes.
fn fill_base62<E>(
    out: &mut [u8],
    mut random: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut pool = [0; 64];
    let mut filled = 0;
    while filled < out.len() {
        random(&mut pool)?;
        for digit in pool.iter().copied().filter_map(base62::digit_from_random) {
            if let Some(place) = out.get_mut(filled) {
                *place = digit;
                filled += 1;
            }
        }
    }
    pool.zeroize();
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_minted_is_of_the_form() {
        for prefix in ["a", "tk_live", "abcdefghijklmno"] {
            let prefix: Prefix = prefix.parse().unwrap();
            let key = SecretKey::generate(&prefix).unwrap();
            let again: SecretKey = key.expose().parse().unwrap();
            assert_eq!(again.expose(), key.expose());
            assert_eq!((again.prefix(), again.id()), (prefix, key.id()));
        }
    }

    #[test]
    fn no_two_are_alike_and_debug_is_silent() {
        let prefix: Prefix = "tk_live".parse().unwrap();
        let (a, b) = (
            SecretKey::generate(&prefix).unwrap(),
            SecretKey::generate(&prefix).unwrap(),
        );
        assert_ne!(a.expose(), b.expose());
        let shown = format!("{a:?}");
        assert!(shown.contains(&a.id().to_string()));
        assert!(!shown.contains(&a.expose()[18..30]));
        let token = SessionToken::generate().unwrap();
        assert_eq!(token.expose().len(), TOKEN_LEN);
        assert_eq!(format!("{token:?}"), "SessionToken(..)");
    }

    #[test]
    fn of_a_seed_the_same_is_made_again() {
        let prefix: Prefix = "tk_live".parse().unwrap();
        let secret = ServerSecret::from_bytes([7; 32]);
        let key = |secret, seed: &[u8]| SecretKey::derived(&prefix, secret, seed);
        let first = key(&secret, b"seed");
        assert_eq!(first.expose(), key(&secret, b"seed").expose());
        assert_eq!(
            first.expose().parse::<SecretKey>().unwrap().id(),
            first.id()
        );
        assert_ne!(first.expose(), key(&secret, b"seee").expose());
        let other = ServerSecret::from_bytes([8; 32]);
        assert_ne!(first.expose(), key(&other, b"seed").expose());
        let token = SessionToken::derived(&secret, b"seed");
        assert_eq!(
            token.expose(),
            SessionToken::derived(&secret, b"seed").expose()
        );
        assert_ne!(token.expose()[..10], first.expose()[8..18]);
    }

    #[test]
    fn a_key_with_a_prefix_out_of_form_is_refused() {
        // Right length, characters and check; but an upper-case prefix.
        let head = format!("TK_{}", "a".repeat(42));
        let mut check = [0; 6];
        base62::encode(u64::from(tail::check_of(head.as_bytes())), &mut check);
        let key = head.clone() + std::str::from_utf8(&check).unwrap();
        assert_eq!(key.parse::<SecretKey>().unwrap_err(), KeyFormError);
        let head = head.to_lowercase();
        base62::encode(u64::from(tail::check_of(head.as_bytes())), &mut check);
        let key = head + std::str::from_utf8(&check).unwrap();
        assert!(key.parse::<SecretKey>().is_ok());
    }
}

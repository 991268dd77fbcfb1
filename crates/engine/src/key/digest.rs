//! What is stored of a secret: its keyed BLAKE3 digest, never the secret.

use std::fmt;

use zeroize::Zeroize;

use super::block;
use super::wide::{MOST, Width};

/// The 32-byte secret under which keys and session tokens are digested.
///
/// It is kept outside the key store: who has only one of the two can neither
/// test a guess against a digest nor make a key that is taken. Wiped on drop,
/// never shown by `Debug`.
#[derive(Clone)]
pub struct ServerSecret {
    key: [u8; 32],
    token_key: [u8; 32],
    width: Width,
}

/// The digest of a key: BLAKE3 in keyed mode over the whole key.
///
/// Compares in constant time (that of [`blake3::Hash`]); `Debug` shows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest(blake3::Hash);

/// The digest of a session token: BLAKE3 in keyed mode over the whole token,
/// under a key derived from the [`ServerSecret`], so that a key and a token
/// never share a digest.
///
/// Compares in constant time; `Debug` shows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest(blake3::Hash);

impl ServerSecret {
    /// Takes a secret that was made before, 32 bytes.
    #[must_use]
    pub fn from_bytes(key: [u8; 32]) -> Self {
        let token_key = blake3::derive_key("tokenkit 2026-11-24 session token digest v1", &key);
        let width = Width::best();
        Self {
            key,
            token_key,
            width,
        }
    }

    /// Makes a secret from the operating system's random source.
    ///
    /// # Errors
    ///
    /// Where the operating system gives no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let secret = Self::from_bytes(bytes);
        bytes.zeroize();
        Ok(secret)
    }

    /// The 32 bytes, for whoever keeps them in a file.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.key
    }

    /// Digests a whole key as it was sent.
    #[must_use]
    pub fn digest_key(&self, key: &[u8]) -> KeyDigest {
        match block::keyed_hash(&self.key, key) {
            Some(hash) => KeyDigest::from_bytes(hash),
            None => KeyDigest(blake3::keyed_hash(&self.key, key)),
        }
    }

    /// Digests at most [`MOST`] keys side by side, each of at most 64 bytes; as
    /// [`digest_key`](Self::digest_key) would each, in less time.
    pub(crate) fn digest_keys(&self, keys: &[&[u8]]) -> [KeyDigest; MOST] {
        let hashes = self.width.keyed_hashes(&self.key, keys);
        hashes.map(KeyDigest::from_bytes)
    }

    /// Digests a whole session token as it was sent.
    #[must_use]
    pub fn digest_token(&self, token: &[u8]) -> TokenDigest {
        TokenDigest(blake3::keyed_hash(&self.token_key, token))
    }

    /// A value to keep beside the digests, by which a store notices that it
    /// is opened with another secret than the one it was filled under. Tells
    /// nothing about the secret.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        blake3::derive_key(
            "tokenkit 2026-11-24 server secret fingerprint v1",
            &self.key,
        )
    }
}

impl Drop for ServerSecret {
    fn drop(&mut self) {
        self.key.zeroize();
        self.token_key.zeroize();
    }
}

impl fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerSecret(..)")
    }
}

/// The parts that both digests share.
macro_rules! digest {
    ($name:ident) => {
        impl $name {
            /// Takes a digest that was stored before.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(blake3::Hash::from_bytes(bytes))
            }

            /// The bytes to store. Do not compare them: `==` on the digest
            /// itself takes constant time, on bytes it does not.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

digest!(KeyDigest);

impl KeyDigest {
    /// A place holder where there is no key.
    pub(crate) const ZERO: Self = Self(blake3::Hash::from_bytes([0; 32]));
}

digest!(TokenDigest);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown() {
        let secret = ServerSecret::from_bytes([0xAB; 32]);
        let digest = secret.digest_key(b"k");
        let token = secret.digest_token(b"k");
        assert_eq!(
            format!("{secret:?} {digest:?} {token:?}"),
            "ServerSecret(..) KeyDigest(..) TokenDigest(..)"
        );
    }

    #[test]
    fn keys_and_tokens_lie_in_separate_domains() {
        let secret = ServerSecret::from_bytes([7; 32]);
        assert_ne!(
            secret.digest_key(b"same").as_bytes(),
            secret.digest_token(b"same").as_bytes()
        );
        assert_ne!(secret.fingerprint(), *secret.expose());
    }

    #[test]
    fn a_key_digest_is_plain_keyed_blake3() {
        let secret = ServerSecret::from_bytes([1; 32]);
        let expected = blake3::keyed_hash(&[1; 32], b"abc");
        assert_eq!(secret.digest_key(b"abc").as_bytes(), expected.as_bytes());
        assert_eq!(
            KeyDigest::from_bytes(*expected.as_bytes()),
            secret.digest_key(b"abc")
        );
    }

    #[test]
    fn generated_secrets_differ() {
        let (a, b) = (
            ServerSecret::generate().unwrap(),
            ServerSecret::generate().unwrap(),
        );
        assert_ne!(a.expose(), b.expose());
    }
}

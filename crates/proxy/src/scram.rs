//! The side of SCRAM-SHA-256 (RFC 5802, 7677) that knows the password's keys and asks for a proof.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use postgres_protocol::password::scram_sha_256;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The mechanism.
pub const MECHANISM: &[u8] = b"SCRAM-SHA-256";

/// What is kept of a password.
#[derive(Clone)]
pub struct Keys {
    salt: String,
    iterations: String,
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// An exchange after the first message.
#[derive(Debug)]
pub struct Exchange {
    header: String,
    nonce: String,
    first: String,
    /// What the client gets: the challenge.
    pub challenge: String,
}

/// Why an exchange failed.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The client does not speak the protocol.
    Protocol(&'static str),
    /// It does not know the password.
    Password,
}

impl Keys {
    /// Of that password, with a salt of their own.
    pub fn new(password: &str) -> Option<Keys> {
        let verifier = scram_sha_256(password.as_bytes());
        let (settings, keys) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = settings.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        Some(Keys {
            salt: salt.to_owned(),
            iterations: iterations.to_owned(),
            stored: STANDARD.decode(stored).ok()?,
            server: STANDARD.decode(server).ok()?,
        })
    }

    /// Answers the client's first message.
    pub fn begin(&self, message: &[u8], random: [u8; 16]) -> Result<Exchange, Failure> {
        let message = str(message)?;
        let (header, bare) = split_header(message)?;
        let (name, nonce) = bare
            .split_once(",r=")
            .ok_or(Failure::Protocol("nonce expected"))?;
        if !name.starts_with("n=") {
            return Err(Failure::Protocol("user name expected"));
        }
        let nonce = nonce.split(',').next().unwrap_or_default();
        if nonce.is_empty() || nonce.len() > 256 || !nonce.bytes().all(|it| it.is_ascii_graphic()) {
            return Err(Failure::Protocol("nonce expected"));
        }
        let nonce = nonce.to_owned() + &STANDARD.encode(random);
        Ok(Exchange {
            challenge: format!("r={nonce},s={},i={}", self.salt, self.iterations),
            header: STANDARD.encode(header),
            first: bare.to_owned(),
            nonce,
        })
    }

    /// Checks the client's last message; gives the answer to it.
    pub fn finish(&self, exchange: &Exchange, message: &[u8]) -> Result<String, Failure> {
        let (without_proof, proof) = str(message)?
            .rsplit_once(",p=")
            .ok_or(Failure::Protocol("proof expected"))?;
        let expected = format!("c={},r={}", exchange.header, exchange.nonce);
        if without_proof != expected {
            return Err(Failure::Protocol("nonce does not match"));
        }
        let proof = STANDARD
            .decode(proof)
            .ok()
            .filter(|proof| proof.len() == self.stored.len())
            .ok_or(Failure::Protocol("malformed proof"))?;
        let said = format!("{},{},{without_proof}", exchange.first, exchange.challenge);
        let signature = sign(&self.stored, said.as_bytes());
        let key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        if !bool::from(Sha256::digest(key).as_slice().ct_eq(&self.stored)) {
            return Err(Failure::Password);
        }
        let signature = sign(&self.server, said.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)))
    }
}

fn str(message: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(message).map_err(|_| Failure::Protocol("not UTF-8"))
}

/// The part about channel binding, and the rest.
fn split_header(message: &str) -> Result<(&str, &str), Failure> {
    for header in ["n,,", "y,,"] {
        if let Some(bare) = message.strip_prefix(header) {
            return Ok((header, bare));
        }
    }
    Err(Failure::Protocol(if message.starts_with('p') {
        "channel binding is not offered"
    } else {
        "malformed beginning"
    }))
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(key) else {
        return vec![];
    };
    hmac.update(text);
    hmac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    fn try_password(password: &str, said: &str, binding: ChannelBinding) -> Result<(), Failure> {
        let keys = Keys::new(password).unwrap();
        let mut client = ScramSha256::new(said.as_bytes(), binding);
        let exchange = keys.begin(client.message(), [1; 16])?;
        client.update(exchange.challenge.as_bytes()).unwrap();
        let answer = keys.finish(&exchange, client.message())?;
        client.finish(answer.as_bytes()).unwrap();
        Ok(())
    }

    #[test]
    fn who_knows_the_password_gets_in_and_learns_that_we_do() {
        for binding in [ChannelBinding::unsupported, ChannelBinding::unrequested] {
            assert_eq!(try_password("geheim ü", "geheim ü", binding()), Ok(()));
            let wrong = try_password("geheim", "Geheim", binding());
            assert_eq!(wrong, Err(Failure::Password));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let keys = Keys::new("x").unwrap();
        for message in [
            "",
            "n,,",
            "n,a=x,n=,r=a",
            "p=tls-server-end-point,,n=,r=a",
            "n,,n=,r=",
        ] {
            assert!(
                keys.begin(message.as_bytes(), [0; 16]).is_err(),
                "{message}"
            );
        }
        let exchange = keys.begin(b"n,,n=,r=abc", [0; 16]).unwrap();
        let nonce = &exchange.nonce;
        for message in [
            String::new(),
            "c=biws,r=abc,p=".into(),
            format!("c=biws,r={nonce},p="),
            format!("c=biws,r={nonce},p=AAAA"),
            format!("c=eSws,r={nonce},p={}", STANDARD.encode([0; 32])),
        ] {
            assert!(
                keys.finish(&exchange, message.as_bytes()).is_err(),
                "{message}"
            );
        }
        let zero = format!("c=biws,r={nonce},p={}", STANDARD.encode([0; 32]));
        assert_eq!(
            keys.finish(&exchange, zero.as_bytes()),
            Err(Failure::Password)
        );
    }
}

//! Ids that say whose they are.
//!
//! A job's files, events and edits all lie under its id, and a result may outlive what the queue knows of its job. So the
//! owner is part of the id: a UUID of version 8 with 60 random bits and 62 bits of an HMAC over these and the owner.
//! Whether an id belongs to somebody is told without asking the queue or the storage, and nobody can tell from an id
//! whose it is without knowing that name already.

use uuid::{Builder, Uuid};

use super::signing::{Purpose, SigningKey, hmac};

/// Whose an id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// The token of this name, for ever and in every process.
    Token(&'a str),
    /// A client of a service without tokens, as long as the signing key is the same.
    Client(&'a str),
}

/// Makes ids and tells whose they are.
#[derive(Debug)]
pub(crate) struct OwnedIds {
    /// Keeps the address of a client from being found by trying all.
    key: SigningKey,
}

impl OwnedIds {
    pub(crate) fn new(key: &SigningKey) -> Self {
        Self { key: key.clone() }
    }

    /// A new id.
    pub(crate) fn create(&self, owner: Owner<'_>) -> Uuid {
        let mut bytes = *Builder::from_custom_bytes(rand::random()).into_uuid().as_bytes();
        let tag = self.tag(&bytes, owner);
        bytes[8..].copy_from_slice(&tag);
        Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// Whether `id` was made for `owner`.
    pub(crate) fn belongs(&self, id: Uuid, owner: Owner<'_>) -> bool {
        let mut bytes = *id.as_bytes();
        let tag = self.tag(&bytes, owner);
        bytes[8..].copy_from_slice(&tag);
        Builder::from_custom_bytes(bytes).into_uuid() == id
    }

    fn tag(&self, bytes: &[u8; 16], owner: Owner<'_>) -> [u8; 8] {
        let random = &bytes[..8];
        let mac = match owner {
            Owner::Token(name) => hmac(b"unflatten owner", &[name.as_bytes(), random]),
            Owner::Client(client) => self.key.mac(Purpose::Owner, &[client.as_bytes(), random]),
        };
        let mut tag = [0; 8];
        tag.copy_from_slice(&mac[..8]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::super::signing::Secret;
    use super::*;

    fn ids() -> OwnedIds {
        OwnedIds::new(&SigningKey::new(None))
    }

    #[test]
    fn an_id_belongs_to_its_owner_alone() {
        let (here, elsewhere) = (ids(), ids());
        for _ in 0..200 {
            let id = here.create(Owner::Token("alice"));
            assert_eq!((id.get_version_num(), id.get_variant()), (8, uuid::Variant::RFC4122));
            assert!(here.belongs(id, Owner::Token("alice")) && elsewhere.belongs(id, Owner::Token("alice")));
            assert!(!here.belongs(id, Owner::Token("alic")) && !here.belongs(id, Owner::Client("alice")));
            assert_ne!(id, here.create(Owner::Token("alice")));
        }
        assert!(!here.belongs(Uuid::new_v4(), Owner::Token("alice")));
    }

    #[test]
    fn the_id_of_a_client_tells_nothing_without_the_key() {
        let secret = Secret::new("the same in two processes".to_owned());
        let [one, two] = [(); 2].map(|()| OwnedIds::new(&SigningKey::new(Some(&secret))));
        let id = one.create(Owner::Client("ip 192.0.2.7"));
        assert!(two.belongs(id, Owner::Client("ip 192.0.2.7")) && !ids().belongs(id, Owner::Client("ip 192.0.2.7")));
    }
}

//! Admin tokens: making and revoking them.

use engine::{KeyId, SecretKey};
use store::{Actor, Label, Scope, StoredToken, Writer};

use super::Maker;
use super::keys::refuse_past;
use crate::admin_token;
use crate::serve::control::{Control, Problem};

/// An admin token to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    pub(crate) name: Label,
    pub(crate) scope: Scope,
    pub(crate) expires_at: Option<u64>,
}

impl Control {
    /// Makes an admin token, within a change.
    ///
    /// # Errors
    ///
    /// 422 for an expiry that is over, 409 where there are as many tokens as there
    /// may be.
    pub(crate) fn create_token_in(
        &self,
        writer: &mut Writer<'_>,
        maker: &Maker,
        new: NewToken,
    ) -> Result<(SecretKey, StoredToken), Problem> {
        refuse_past(new.expires_at, self.now())?;
        let prefix = admin_token::prefix().map_err(Problem::internal)?;
        let token = maker.key(&prefix, self.secret())?;
        let stored = StoredToken::of(
            &token,
            self.secret(),
            new.name,
            new.scope,
            new.expires_at,
            self.now(),
        );
        writer.add_token(&stored)?;
        Ok((token, stored))
    }

    /// Revokes an admin token for ever. One that was revoked stays as it is.
    ///
    /// # Errors
    ///
    /// 404; those of [`change`](Self::change).
    pub(crate) async fn revoke_token(
        &self,
        actor: Actor,
        id: KeyId,
    ) -> Result<StoredToken, Problem> {
        self.change(actor, move |writer| Ok(writer.revoke_token(id)?))
            .await
    }
}

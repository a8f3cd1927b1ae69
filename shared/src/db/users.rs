//! `users`: who is who.

use super::Error;
use crate::UserId;
use sqlx::PgExecutor;

/// The user with this subject, made at first sight.
pub async fn of_subject(db: impl PgExecutor<'_>, external_id: &str) -> Result<UserId, Error> {
    Ok(sqlx::query_scalar!(
        r#"with made as (
             insert into paceline.users (id, external_id)
             select $1, $2 where not exists (select from paceline.users where external_id = $2)
             on conflict (external_id) do update set external_id = excluded.external_id
             returning id)
           select id as "id!: UserId" from made
           union all
           select id from paceline.users where external_id = $2
           limit 1"#,
        UserId::fresh().0,
        external_id
    )
    .fetch_one(db)
    .await?)
}

/// The user with this subject; `None` when nobody has it.
pub async fn find_subject(
    db: impl PgExecutor<'_>,
    external_id: &str,
) -> Result<Option<UserId>, Error> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: UserId" from paceline.users where external_id = $1"#,
        external_id
    )
    .fetch_optional(db)
    .await?)
}

/// The subject of a user; `None` when there is no such user.
pub async fn subject_of(db: impl PgExecutor<'_>, user: UserId) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar!("select external_id from paceline.users where id = $1", user.0)
        .fetch_optional(db)
        .await?)
}

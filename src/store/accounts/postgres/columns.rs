//! The columns that a new user sets, and those of an API key. The columns of a user that are read are in
//! `accounts::user`.

/// The columns of `users` that a new user sets: name, parameter, and the field of
/// [`NewUser`](crate::store::accounts::NewUser) with the value. `$1` is the id of the user's project.
/// `given` is the select list of a row of the parameters, `names` the list of columns, `values user` the parameters.
macro_rules! new_user_columns {
    ($($form:tt)*) => {
        new_user_as! { [$($form)*]
            id "$2::uuid" id,
            email "$3::text" email,
            username "$4::text" username,
            username_key "$5::text" username_key,
            full_name "$6::text" full_name,
            password_hash "$7::text" password_hash,
            verified "$8::bool" verified,
            disabled "$9::bool" disabled,
            superuser "$10::bool" superuser,
            roles "$11::text[]" roles,
            custom_claims "$12::text" custom_claims,
            sessions_valid_after "$13::bigint" created_at,
            created_at "$14::bigint" created_at,
            updated_at "$15::bigint" created_at,
            totp "$16::bytea" totp,
        }
    };
}

macro_rules! new_user_as {
    ([given] $name:ident $parameter:literal $field:ident, $($names:ident $parameters:literal $fields:ident,)*) => {
        concat!(
            $parameter, " AS ", stringify!($name),
            $(", ", $parameters, " AS ", stringify!($names),)*
        )
    };
    ([names] $name:ident $parameter:literal $field:ident, $($names:ident $parameters:literal $fields:ident,)*) => {
        concat!(stringify!($name), $(", ", stringify!($names),)*)
    };
    ([values $user:ident] $($name:ident $parameter:literal $field:ident,)*) => {
        [&$user.project as &(dyn ToSql + Sync), $(&$user.$field,)*]
    };
}

/// The select list of an API key `k`, as a literal.
macro_rules! api_key_select_list {
    () => {
        select_list!(
            "k",
            id project_id user_id prefix digest name scopes last_used_at expires_at deactivated_at created_at updated_at
        )
    };
}

pub(super) use {api_key_select_list, new_user_as, new_user_columns};

#[cfg(test)]
mod tests {
    #[test]
    fn parameters_of_a_new_user_are_numbered_in_order() {
        let given = new_user_columns!(given);
        for (position, column) in given.split(", ").enumerate() {
            assert!(column.starts_with(&format!("${}::", position + 2)), "{column}");
        }
    }
}

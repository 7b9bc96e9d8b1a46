select event from {{ ref('codes') }}

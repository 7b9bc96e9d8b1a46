-- Rows lie in the order of the file, so that the reader need not sort a million of them.
{{ config(enabled=reads_files()) }}

with numbered as (

    select
        namespace,
        customer_id,
        unique_key,
        row_number() over (order by {{ stored_position() }}) as stored_at,
        row_number() over (order by namespace, customer_id) as leaves_at
    from {{ ref('audience_attributes') }}

)

select
    unique_key,
    stored_at,
    leaves_at
from numbered
where stored_at <> leaves_at

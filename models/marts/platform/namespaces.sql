with namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

)

select
    namespace,
    name,
    soft_bounce_limit,
    updated_at
from namespaces

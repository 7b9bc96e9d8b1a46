with namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

)

select
    namespace,
    name,
    soft_bounce_limit,
    attribution_hours,
    updated_at
from namespaces

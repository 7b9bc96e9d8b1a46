with sessions as (

    select * from {{ ref('int_sessions_judged') }}
    where disposition = 'kept'

)

select
    namespace,
    session_id,
    customer_id,
    customer_id is not null as is_identified,
    device_type,
    started_at,
    cast(started_at as date) as started_on,
    views,
    updated_at
from sessions

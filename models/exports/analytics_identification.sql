with sessions as (

    select
        *,
        coalesce(device_type, 'unknown') as device
    from {{ ref('sessions') }}

)

select
    namespace,
    started_on as day,
    device as device_type,
    cast(count(*) as bigint) as sessions,
    cast(sum(case when is_identified then 1 else 0 end) as bigint) as identified_sessions
from sessions
group by namespace, started_on, device
order by started_on, namespace, device

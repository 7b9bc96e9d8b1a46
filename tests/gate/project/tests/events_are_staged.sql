select events.namespace, events.event_day, events.unique_key
from {{ ref('events') }} as events
left join {{ ref('stg_events') }} as stg_events on events.unique_key = stg_events.unique_key
where stg_events.unique_key is null

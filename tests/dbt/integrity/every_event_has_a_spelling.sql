-- Each event that leaves has one name in each spelling, and no two events of a spelling share a name.
with event_types as (

    select distinct event from {{ ref('event_types') }}
    where is_exported

),

spellings as (

    select * from {{ ref('event_spellings') }}

),

names as (

    select distinct spelling from spellings

)

select
    names.spelling,
    event_types.event,
    count(spellings.name) as number_of_names
from names
cross join event_types
left join spellings
    on names.spelling = spellings.spelling
    and event_types.event = spellings.event
group by names.spelling, event_types.event
having count(spellings.name) <> 1

union all

select
    spelling,
    name as event,
    count(*) as number_of_names
from spellings
group by spelling, name
having count(*) > 1

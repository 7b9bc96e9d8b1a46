with members as (

    select * from {{ ref('audience_attributes') }}

),

opened as (

    select distinct
        namespace,
        email
    from {{ ref('email_days') }}
    where opens > machine_opens
        and event_day > {{ as_of(-var('recent_days')) }} and event_day <= {{ as_of() }}

),

bought as (

    select * from {{ ref('customer_lifecycles') }}
    where last_purchased_on > {{ as_of(-var('recent_days')) }}

)

select
    members.namespace,
    members.customer_id,
    members.is_unsubscribed
from members
inner join opened
    on members.namespace = opened.namespace
    and members.email = opened.email
left join bought
    on members.namespace = bought.namespace
    and members.customer_id = bought.customer_id
where bought.customer_id is null
order by members.namespace, members.customer_id

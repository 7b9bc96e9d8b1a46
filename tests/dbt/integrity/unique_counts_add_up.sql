-- Unique opens and clicks, summed over days, are the distinct emails opened and clicked, counted directly.
with email_events as (

    select * from {{ ref('email_events') }}
    where event in ('open', 'click') and campaign_id is not null

),

added as (

    select
        namespace,
        sum(unique_opens) as unique_opens,
        sum(unique_clicks) as unique_clicks,
        sum(bot_clicks) as bot_clicks
    from {{ ref('analytics_performance') }}
    group by namespace

),

counted as (

    select
        namespace,
        count(distinct case when event = 'open' then nqe end) as unique_opens,
        count(distinct case when event = 'click' and not is_bot_click then nqe end) as unique_clicks,
        sum(case when is_bot_click then 1 else 0 end) as bot_clicks
    from email_events
    group by namespace

)

select
    coalesce(added.namespace, counted.namespace) as namespace,
    added.unique_opens as added_opens,
    counted.unique_opens as counted_opens,
    added.unique_clicks as added_clicks,
    counted.unique_clicks as counted_clicks,
    added.bot_clicks as added_bot_clicks,
    counted.bot_clicks as counted_bot_clicks
from added
full outer join counted on added.namespace = counted.namespace
where coalesce(added.unique_opens, 0) <> coalesce(counted.unique_opens, 0)
    or coalesce(added.unique_clicks, 0) <> coalesce(counted.unique_clicks, 0)
    or coalesce(added.bot_clicks, 0) <> coalesce(counted.bot_clicks, 0)

{{ config(materialized='table') }}

with emails as (

    select * from {{ ref('emails') }}

),

conversions as (

    select
        namespace,
        nqe,
        count(*) as conversions,
        sum(total) as revenue
    from {{ ref('attributed_orders') }}
    group by namespace, nqe

),

judged as (

    select
        *,
        coalesce(
            sent_at, delivered_at, first_open_at, first_click_at, unsubscribed_at, spam_reported_at, bounced_at
        ) is not null or bot_clicks > 0 or deferrals > 0 as is_sent
    from emails
    where campaign_id is not null

)

select
    judged.namespace,
    judged.sent_on as day,
    judged.campaign_id,
    cast(sum(case when is_sent then 1 else 0 end) as bigint) as sent,
    cast(sum(case when hard_bounces > 0 then 1 else 0 end) as bigint) as hard_bounced,
    cast(sum(case when hard_bounces = 0 and soft_bounces > 0 then 1 else 0 end) as bigint) as soft_bounced,
    cast(sum(case when is_sent and hard_bounces + soft_bounces = 0 then 1 else 0 end) as bigint) as delivered,
    cast(sum(case when deferrals > 0 then 1 else 0 end) as bigint) as deferred,
    cast(sum(opens) as bigint) as opens,
    cast(sum(case when opens > 0 then 1 else 0 end) as bigint) as unique_opens,
    cast(sum(machine_opens) as bigint) as machine_opens,
    cast(sum(clicks) as bigint) as clicks,
    cast(sum(case when clicks > 0 then 1 else 0 end) as bigint) as unique_clicks,
    cast(sum(bot_clicks) as bigint) as bot_clicks,
    cast(sum(case when unsubscribes > 0 then 1 else 0 end) as bigint) as unsubscribes,
    cast(sum(case when spam_reported_at is not null then 1 else 0 end) as bigint) as spam_reports,
    cast(sum(case when drops > 0 then 1 else 0 end) as bigint) as dropped,
    cast(sum(case when halts > 0 then 1 else 0 end) as bigint) as halted,
    cast(sum(coalesce(conversions.conversions, 0)) as bigint) as conversions,
    cast(sum(coalesce(conversions.revenue, 0)) as decimal(38, 3)) as revenue
from judged
left join conversions
    on judged.namespace = conversions.namespace
    and judged.nqe = conversions.nqe
group by judged.namespace, judged.sent_on, judged.campaign_id
having sum(case when is_sent or drops > 0 or halts > 0 then 1 else 0 end) > 0

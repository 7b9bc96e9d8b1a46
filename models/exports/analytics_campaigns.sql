with campaign_days as (

    select * from {{ ref('campaign_days') }}

),

campaign_runs as (

    select
        namespace,
        campaign_id,
        campaign_name,
        campaign_classification,
        row_number() over (
            partition by namespace, campaign_id
            order by campaign_run_time desc, campaign_run_id desc
        ) as preference
    from {{ ref('stg_platform__campaign_runs') }}
    where is_complete

)

select
    campaign_days.namespace,
    campaign_days.day,
    campaign_days.campaign_id,
    campaign_runs.campaign_name,
    campaign_runs.campaign_classification,
    {% for count in email_counts() %}
    campaign_days.{{ count }},
    {% endfor %}
    campaign_days.revenue
from campaign_days
inner join campaign_runs
    on campaign_days.namespace = campaign_runs.namespace
    and campaign_days.campaign_id = campaign_runs.campaign_id
    and campaign_runs.preference = 1
order by campaign_days.day, campaign_days.namespace, campaign_days.campaign_id

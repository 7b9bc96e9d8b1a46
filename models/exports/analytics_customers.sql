with customer_weeks as (

    select * from {{ ref('customer_weeks') }}

),

judged as (

    select
        *,
        ordered_before_on is null as is_new,
        ordered_before_on >= cast({{ dbt.dateadd('day', -364, 'week') }} as date) as is_retained
    from customer_weeks

),

counted as (

    select
        namespace,
        week,
        count(*) as buyers,
        sum(case when is_new then 1 else 0 end) as new_customers,
        sum(case when is_retained then 1 else 0 end) as retained_customers,
        sum(case when not is_new and not is_retained then 1 else 0 end) as reactivated_customers,
        sum(case when lifetime_orders = 1 then 1 else 0 end) as one_time_customers,
        sum(case when lifetime_orders > 1 then 1 else 0 end) as repeat_customers,
        sum(orders) as orders,
        sum(revenue) as revenue
    from judged
    group by namespace, week

),

compared as (

    select
        namespace,
        week,
        {% for count in customer_counts() %}
        {{ count }},
        0 as {{ count }}_year_before,
        {% endfor %}
        revenue,
        0 as revenue_year_before
    from counted

    union all

    select
        namespace,
        cast({{ dbt.dateadd('day', 364, 'week') }} as date) as week,
        {% for count in customer_counts() %}
        0 as {{ count }},
        {{ count }} as {{ count }}_year_before,
        {% endfor %}
        0 as revenue,
        revenue as revenue_year_before
    from counted

)

select
    namespace,
    week,
    {% for count in customer_counts() %}
    cast(sum({{ count }}) as bigint) as {{ count }},
    cast(sum({{ count }}_year_before) as bigint) as {{ count }}_year_before,
    {% endfor %}
    cast(sum(revenue) as decimal(38, 3)) as revenue,
    cast(sum(revenue_year_before) as decimal(38, 3)) as revenue_year_before
from compared
group by namespace, week
order by week, namespace

{% test is_member(model, of) %}

    with members as (

        select
            namespace,
            customer_id,
            is_unsubscribed,
            count(*) over (partition by namespace, customer_id) as times
        from {{ model }}

    ),

    customers as (

        select * from {{ of }}

    )

    select
        members.namespace,
        members.customer_id,
        members.is_unsubscribed as offending_value
    from members
    left join customers
        on members.namespace = customers.namespace
        and members.customer_id = customers.customer_id
    where customers.customer_id is null
        or members.times > 1
        or members.is_unsubscribed is null
        or members.is_unsubscribed <> customers.is_unsubscribed
        or coalesce(customers.email, customers.phone) is null

{% endtest %}
